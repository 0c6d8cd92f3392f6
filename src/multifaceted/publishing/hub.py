"""One dataset repository on the Hub, and what its refusals mean.

Example:
    hub = DatasetRepo("org/multifaceted_collection")
    state = hub.look()          # None where there is no such repository
    state.files["README.md"].size

The Hub is the one that `HF_ENDPOINT` names, the token the one of `HF_TOKEN` or `hf auth login`: both are
`huggingface_hub`'s own business, and no token is ever held here.
"""

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import datasets
import httpx2
from huggingface_hub import (
    CommitOperation,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    HfFileSystem,
    constants,
    get_token,
)
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils._validators import validate_repo_id
from huggingface_hub.utils.tqdm import disable_progress_bars

from multifaceted.credentials import blot, hold_secret
from multifaceted.errors import HubError, InputError, Problem
from multifaceted.proxies import describe_proxy, settle_hub_client

_KIND = "dataset"
_CONFLICT, _SERVER_ERROR = 412, 500
_RETRYABLE = (408, 429)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a revision, as the Hub lists it."""

    size: int
    blob_id: str  # SHA-1 that git gives it
    sha256: str | None  # where it is in LFS or Xet


@dataclass(frozen=True, slots=True)
class RemoteState:
    """A repository at one revision."""

    revision: str  # the commit
    private: bool
    files: Mapping[str, RemoteFile]


class DatasetRepo:
    """One dataset repository. Every method raises `HubError` where the Hub does not do as asked.

    Raises:
        InputError: where its id is none: `organization/name`, or `user/name`.
    """

    def __init__(self, repo_id: str) -> None:
        try:
            validate_repo_id(repo_id)
            fault = "" if repo_id.count("/") == 1 else "it needs an organization or user before a slash"
        except HFValidationError as error:
            fault = str(error)
        if fault:
            raise InputError([Problem(repo_id, 0, f"is not a name for a dataset on the Hub: {fault}")])
        self.repo_id = repo_id
        settle_hub_client()
        self._api = HfApi(endpoint=constants.ENDPOINT)

    def __str__(self) -> str:
        return self.repo_id

    def url(self, revision: str) -> str:
        """Return where a person looks at a revision."""
        return f"{self._api.endpoint}/datasets/{self.repo_id}/tree/{revision}"

    def require_token(self) -> None:
        """Refuse early where there is no token at all."""
        if get_token() is None:
            hint = "run: hf auth login, or set HF_TOKEN to a token with write access"
            raise HubError("there is no token for the Hub", hint=hint)

    def look(self, revision: str | None = None) -> RemoteState | None:
        """Return what a branch, tag or commit holds; None where there is no such repository."""
        with _translated(self.repo_id, "looking at it"):
            try:
                info = self._api.dataset_info(self.repo_id, revision=revision)
            except RepositoryNotFoundError:
                return None
            revision = str(info.sha)
            tree = self._api.list_repo_tree(self.repo_id, repo_type=_KIND, revision=revision, recursive=True)
            files = {
                entry.path: RemoteFile(entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
                for entry in tree
                if isinstance(entry, RepoFile)
            }
            return RemoteState(revision, bool(info.private), files)

    def list_tags(self) -> dict[str, str]:
        """Tags, and the commits they name."""
        with _translated(self.repo_id, "listing its tags"):
            tags = self._api.list_repo_refs(self.repo_id, repo_type=_KIND).tags
            return {tag.name: tag.target_commit for tag in tags}

    def fetch(self, paths: Sequence[str], revision: str) -> dict[str, bytes]:
        """Return the content of small files."""
        with _translated(self.repo_id, "reading its files"), tempfile.TemporaryDirectory() as folder:
            return {
                path: Path(
                    self._api.hf_hub_download(
                        self.repo_id, path, repo_type=_KIND, revision=revision, local_dir=folder
                    )
                ).read_bytes()
                for path in paths
            }

    def open(self, url: str) -> BinaryIO:
        """Return a file to read in parts, by the `hf://` address that `datasets` gives it."""
        opened: BinaryIO = HfFileSystem(endpoint=constants.ENDPOINT).open(url, "rb")
        return opened

    def download(self, paths: Sequence[str], revision: str, folder: Path) -> None:
        """Bring files into a folder; those that came before are not fetched again."""
        with _translated(self.repo_id, "downloading its files"):
            self._api.snapshot_download(
                self.repo_id, repo_type=_KIND, revision=revision, local_dir=folder, allow_patterns=list(paths)
            )

    def create(self, *, private: bool) -> None:
        """Make the repository."""
        with _translated(self.repo_id, "creating it"):
            self._api.create_repo(self.repo_id, repo_type=_KIND, private=private)

    def commit(self, add: Mapping[str, Path], delete: Sequence[str], *, message: str, parent: str) -> str:
        """One commit on `main`, refused if `main` is no longer `parent`; gives its id."""
        with _translated(self.repo_id, "committing to it"):
            operations: list[CommitOperation] = [CommitOperationAdd(path, file) for path, file in add.items()]
            operations += [CommitOperationDelete(path) for path in delete]
            done = self._api.create_commit(
                self.repo_id, operations, commit_message=message, repo_type=_KIND, parent_commit=parent
            )
        return str(done.oid)

    def tag(self, name: str, revision: str) -> None:
        """Give a commit a name; a tag is never moved."""
        with _translated(self.repo_id, f"tagging it {name}"):
            self._api.create_tag(self.repo_id, tag=name, revision=revision, repo_type=_KIND)


def redact(text: str) -> str:
    """`text` without the token, and without the signatures that upload links carry."""
    hold_secret(get_token() or "")
    shown = blot(text)
    return re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]+", r"\1", shown)


def settle_output(*, bars: bool) -> None:
    """How the libraries below talk: bars only where somebody looks, and no secrets in their warnings."""
    if not bars:
        disable_progress_bars()
        datasets.disable_progress_bars()
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_redact_record)


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


@contextmanager
def _translated(repo_id: str, doing: str) -> Iterator[None]:
    """Turn what the client raises into a `HubError` that says what was refused and what to do."""
    try:
        yield
    except HubError:
        raise
    except (OSError, RuntimeError, ValueError, httpx2.HTTPError) as error:
        raise _explain(repo_id, doing, error) from error


def _explain(repo_id: str, doing: str, error: Exception) -> HubError:
    cause = error.__cause__
    if isinstance(error, RuntimeError) and isinstance(cause, Exception):  # a failed upload wraps the reason
        error = cause
    if isinstance(error, HfHubHTTPError):
        return _explain_status(repo_id, doing, error)
    if isinstance(error, LocalTokenNotFoundError):
        return HubError("there is no token for the Hub", hint="run: hf auth login, or set HF_TOKEN")
    if isinstance(error, OfflineModeIsEnabled):
        return HubError("offline mode is on", hint="unset HF_HUB_OFFLINE")
    what = redact(f"{repo_id}, {doing}: {str(error) or type(error).__name__}")
    if isinstance(error, httpx2.HTTPError):
        way = f", and is {proxy} in order" if (proxy := describe_proxy(constants.ENDPOINT)) else ""
        hint = f"is {constants.ENDPOINT} the Hub you mean, is the network up{way}? then run it again"
        return HubError(what, hint=hint, retryable=True)
    return HubError(what)


def _explain_status(repo_id: str, doing: str, error: HfHubHTTPError) -> HubError:
    status = error.response.status_code
    told = redact(error.server_message or "").strip()
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{repo_id} has no such branch, tag or commit", hint="look at its history on the Hub")
    if status == 401 and not isinstance(error, RepositoryNotFoundError):  # noqa: PLR2004
        hint = "run: hf auth login, or correct HF_TOKEN"
        return HubError(f"the Hub does not know the token it was given: {told}", hint=hint)
    if isinstance(error, RepositoryNotFoundError):
        hint = "correct the name, or log in with a token that may see it"
        return HubError(f"{repo_id} does not exist on the Hub, or is private", hint=hint)
    if status == 403:  # noqa: PLR2004
        hint = "use a token with write access, of somebody who may write there"
        return HubError(f"the Hub does not allow {doing}, {repo_id}: {told}", hint=hint)
    retryable = status in _RETRYABLE or status >= _SERVER_ERROR
    what = f"{repo_id}, {doing}: the Hub answers {status}: {told or 'without a word'}"
    if status == _CONFLICT:
        what = f"somebody else pushed to {repo_id} meanwhile"
    return HubError(what, hint="run it again later" if retryable else "", retryable=retryable)
