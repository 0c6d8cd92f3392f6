"""What a push changes: the built folder beside what the Hub holds.

Example:
    changes = compare(Path("multifaceted_collection"), manifest, hub, hub.look())
    [change.path for change in changes.added]
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from multifaceted.building.card import CARD
from multifaceted.ids import hash_file
from multifaceted.publishing.hub import DatasetRepo, RemoteFile, RemoteState
from multifaceted.store.built_folder import MAX_MANIFEST, BuiltManifest, describe_faults
from multifaceted.store.run_folder import MANIFEST

ATTRIBUTES = ".gitattributes"  # the Hub's own
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One file that changes, and its size; before, where it is deleted."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What one commit would do."""

    added: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    deleted: list[Change] = field(default_factory=list)
    unchanged: int = 0  # files
    foreign: list[str] = field(default_factory=list)  # what would be lost that this tool did not make

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.deleted)

    @property
    def bytes(self) -> int:
        """Of the files to be sent; the Hub takes less where it knows parts of them."""
        return sum(change.bytes for change in (*self.added, *self.changed))


def list_files(manifest: BuiltManifest) -> list[str]:
    """Return every file of a built folder, relative to it."""
    shards = [file.path for config in manifest.configs for file in config.files]
    return sorted({*shards, *manifest.metadata, CARD, MANIFEST})


def list_sizes(manifest: BuiltManifest) -> dict[str, int | None]:
    """Return the bytes of each file of a built folder; None of those whose size the manifest does not say."""
    shards = {file.path: file.bytes for config in manifest.configs for file in config.files}
    return {path: shards.get(path) for path in list_files(manifest)}


def read_remote_manifest(repo: DatasetRepo, state: RemoteState) -> BuiltManifest | None:
    """Return the manifest on the Hub; None where it holds none, or none of ours.

    Raises:
        ValueError: where it says that it is one of ours, and names what none of ours can have.
    """
    if MANIFEST not in state.files:
        return None
    size = state.files[MANIFEST].size
    if size > MAX_MANIFEST:
        raise ValueError(f"it has {size:,} bytes")
    text = repo.fetch([MANIFEST], state.revision)[MANIFEST]
    try:
        return BuiltManifest.model_validate_json(text)
    except ValidationError as error:
        if b'"multifaceted-built"' not in text:
            return None
        raise ValueError(describe_faults(error)) from error


def compare(folder: Path, manifest: BuiltManifest, repo: DatasetRepo, state: RemoteState | None) -> Changes:
    """Return what would change on the Hub if it held this folder.

    Files there that are neither ours nor in a config's folder stay. Where the Hub holds something that
    this tool did not make, everything would be replaced, and `foreign` says so.

    Args:
        folder: a built folder.
        manifest: its manifest.
        repo: the repository, to read small files of it.
        state: what it holds; None where it does not exist.
    """
    mine = {path: (folder / path).stat().st_size for path in list_files(manifest)}
    if state is None:
        return Changes(added=[Change(path, size) for path, size in mine.items()])
    same = {path for path in mine if path in state.files and is_same(folder / path, state.files[path])}
    try:
        theirs = read_remote_manifest(repo, state)
    except ValueError:
        theirs = None
    gone = sorted(_find_gone(manifest, theirs, state))
    touched = {*gone, *(path for path in mine if path in state.files)} - same
    return Changes(
        added=[Change(path, size) for path, size in mine.items() if path not in state.files],
        changed=[
            Change(path, size) for path, size in mine.items() if path in state.files and path not in same
        ],
        deleted=[Change(path, state.files[path].size) for path in gone],
        unchanged=len(same),
        foreign=list(_find_foreign(repo, theirs, state, touched)),
    )


def is_same(file: Path, remote: RemoteFile) -> bool:
    """Return whether a file here and one on the Hub have the same bytes."""
    if file.stat().st_size != remote.size:
        return False
    if remote.sha256 is not None:
        return remote.sha256 == hash_file(file)
    content = file.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return git.hexdigest() == remote.blob_id


def _find_gone(mine: BuiltManifest, theirs: BuiltManifest | None, state: RemoteState) -> Iterator[str]:
    """Files on the Hub that a push deletes. Loading goes by folder, so strays in a config's folder too."""
    kept = {*list_files(mine), ATTRIBUTES}
    if theirs is None:
        yield from set(state.files) - kept
        return
    listed = set(list_files(theirs))
    folders = {config.name for manifest in (mine, theirs) for config in manifest.configs}
    for path in set(state.files) - kept:
        if path in listed or PurePosixPath(path).parts[0] in folders:
            yield path


def _find_foreign(
    repo: DatasetRepo, theirs: BuiltManifest | None, state: RemoteState, touched: set[str]
) -> Iterator[str]:
    """Yield what this tool did not put there, among the files that would be replaced or deleted."""
    if theirs is None:
        others = sorted(set(state.files) - {ATTRIBUTES})
        if others:
            yield f"{repo} holds something that `multifaceted push` did not put there: {_name(others)}"
        return
    hashes = {file.path: file.sha256 for config in theirs.configs for file in config.files}
    hashes |= theirs.metadata
    strays = sorted(touched - {*hashes, CARD, MANIFEST})
    if strays:
        yield f"{repo} has files in the folders of configs that no push put there: {_name(strays)}"
    edited = [path for path in sorted(touched & set(hashes)) if _is_edited(repo, state, path, hashes[path])]
    if edited:
        yield f"{repo}: changed on the Hub since it was pushed: {_name(edited)}"


def _is_edited(repo: DatasetRepo, state: RemoteState, path: str, sha256: str) -> bool:
    known = state.files[path].sha256
    if known is None:
        known = hashlib.sha256(repo.fetch([path], state.revision)[path]).hexdigest()
    return known != sha256


def _name(paths: Iterable[str]) -> str:
    named = list(paths)
    more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    return ", ".join(named[:MOST_NAMED]) + more
