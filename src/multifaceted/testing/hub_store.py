"""What a hub keeps: objects by their SHA-256, and for each repository its commits, branch and tags.

Example:
    store = HubStore()
    store.create("org/name", private=False)
    store.commit("org/name", {"a.txt": store.keep(b"text", lfs=False)}, title="first")
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

BRANCH = "main"
DATE = "2026-01-01T00:00:00.000Z"  # of everything: equal pushes give equal commits
ATTRIBUTES = b"*.arrow filter=lfs diff=lfs merge=lfs -text\n*.parquet filter=lfs diff=lfs merge=lfs -text\n"


class HubRefusal(Exception):  # noqa: N818 - an answer, and no fault of the program
    """A request that the Hub refuses: status, message, and the code that its client goes by."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class HubFile:
    """One version of a file."""

    sha256: str
    size: int
    blob_id: str  # SHA-1 that git gives it; of the pointer, where the file is in LFS
    lfs: bool

    @property
    def etag(self) -> str:
        """Return what `ETag` says."""
        return self.sha256 if self.lfs else self.blob_id

    def describe(self, path: str) -> dict[str, Any]:
        """As it is listed in a tree."""
        shown: dict[str, Any] = {"type": "file", "path": path, "size": self.size, "oid": self.blob_id}
        if self.lfs:
            pointer = len(_write_pointer(self.sha256, self.size))
            shown["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": pointer}
        return shown


@dataclass(frozen=True)
class HubCommit:
    """One state of a repository."""

    oid: str
    parent: str | None
    title: str
    files: Mapping[str, HubFile]

    def list_tree(self, below: str = "", *, recursive: bool = True) -> list[dict[str, Any]]:
        """Return files and folders below a folder."""
        base = PurePosixPath(below)
        files = {path: file for path, file in self.files.items() if PurePosixPath(path).is_relative_to(base)}
        if below and not files:
            raise HubRefusal(404, f"{below} does not exist on {self.oid}", "EntryNotFound")
        folders = {
            str(parent)
            for path in files
            for parent in PurePosixPath(path).parents
            if parent != base and parent.is_relative_to(base)
        }
        shown: list[dict[str, Any]] = [
            {"type": "directory", "path": path, "size": 0, "oid": _sha1(path.encode())} for path in folders
        ]
        shown += [file.describe(path) for path, file in files.items()]
        kept = [entry for entry in shown if recursive or PurePosixPath(entry["path"]).parent == base]
        return sorted(kept, key=lambda entry: str(entry["path"]))


@dataclass
class HubRepo:
    """One dataset repository: `main`, its history and tags."""

    private: bool
    commits: list[HubCommit] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)  # name → commit

    @property
    def head(self) -> HubCommit:
        """Return what `main` names."""
        return self.commits[-1]

    def find(self, revision: str) -> HubCommit:
        """Return the commit that a branch, tag or id names."""
        oid = self.head.oid if revision == BRANCH else self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.oid == oid:
                return commit
        raise HubRefusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")


class HubStore:
    """All repositories of one hub."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}  # SHA-256 → content
        self.repos: dict[str, HubRepo] = {}

    def create(self, repo_id: str, *, private: bool) -> HubRepo:
        """Return a new repository, with the first commit that the Hub itself makes."""
        if repo_id in self.repos:
            raise HubRefusal(409, "You already created this dataset repo")
        self.repos[repo_id] = HubRepo(private)
        self.commit(repo_id, {".gitattributes": self.keep(ATTRIBUTES, lfs=False)}, title="initial commit")
        return self.repos[repo_id]

    def find(self, repo_id: str) -> HubRepo:
        """Return a repository that exists."""
        if repo_id not in self.repos:
            raise HubRefusal(404, "Repository not found", "RepoNotFound")
        return self.repos[repo_id]

    def keep(self, content: bytes, *, lfs: bool) -> HubFile:
        """Store content once, whatever it is called."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.objects[sha256] = content
        in_git = _write_pointer(sha256, len(content)) if lfs else content
        blob_id = _sha1(b"blob %d\0" % len(in_git) + in_git)
        return HubFile(sha256, len(content), blob_id, lfs)

    def commit(
        self,
        repo_id: str,
        changes: Mapping[str, HubFile | None],
        *,
        title: str,
        parent: str | None = None,
    ) -> HubCommit:
        """Put a commit on `main`; None deletes a file.

        Args:
            repo_id: of a repository that exists.
            changes: path → what is to be there.
            title: the first line of the message.
            parent: the commit, or its first characters, that `main` must still name.
        """
        repo = self.find(repo_id)
        head = repo.commits[-1] if repo.commits else None
        if parent is not None and (head is None or not head.oid.startswith(parent)):
            raise HubRefusal(412, "A commit has happened since. Please refresh and try again.")
        before = dict(head.files) if head else {}
        missing = [path for path, file in changes.items() if file is None and path not in before]
        if missing:
            raise HubRefusal(404, f"A file with this name doesn't exist: {missing[0]}", "EntryNotFound")
        files = {path: file for path, file in {**before, **changes}.items() if file is not None}
        named = [head.oid if head else "", title, {path: file.blob_id for path, file in files.items()}]
        oid = _sha1(json.dumps([repo_id, *named], sort_keys=True).encode())
        repo.commits.append(HubCommit(oid, head.oid if head else None, title, files))
        return repo.head


def _write_pointer(sha256: str, size: int) -> bytes:
    """Return what git keeps of a file that is in LFS."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _sha1(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
