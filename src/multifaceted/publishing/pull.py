"""Bringing a published folder back: `pull("org/name", Path("multifaceted_collection"), revision="v1")`.

Only what the manifest names comes, all of it from one commit, and it takes its place when the check finds
nothing wrong with it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from multifaceted.building.check import check_folder
from multifaceted.errors import HubError, InterruptedRunError, LockedError, StorageError
from multifaceted.publishing.changes import is_same, list_files, list_sizes, read_remote_manifest
from multifaceted.publishing.hub import DatasetRepo, RemoteState
from multifaceted.store.atomic import translate_os_errors
from multifaceted.store.built_folder import MAX_MANIFEST, BuiltManifest
from multifaceted.store.loadable import require_loadable
from multifaceted.store.run_folder import MANIFEST


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came."""

    manifest: BuiltManifest
    revision: str
    fetched: bool  # False where the folder was there already, and equal


def pull(repo_id: str, out: Path, *, revision: str | None = None) -> Pulled:
    """Download a built folder, check it, and only then let it appear.

    Args:
        repo_id: `organization/name`.
        out: where it is to be; nothing, an empty folder, or the very same data may be there.
        revision: a branch, tag or commit; None is the newest of `main`.

    Raises:
        InputError: where the name is none.
        HubError: where the Hub refuses, or holds nothing that `multifaceted push` put there.
        StorageError: where something else is at `out`, or what came has faults.
        InterruptedRunError: on Ctrl-C; what came by then is kept beside `out`.
    """
    require_loadable(out)
    repo = DatasetRepo(repo_id)
    state, manifest = _read_published(repo, revision)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        _require_equal(out, manifest, state)
        return Pulled(manifest, state.revision, fetched=False)
    target = Path(os.path.realpath(out))
    with translate_os_errors(out), _held(target.with_name(f".{target.name}.pulling"), out) as staging:
        fresh = staging / "new"
        note = f"what came is kept in {fresh}, and the same pull goes on with it"
        try:
            _fill(fresh, manifest, repo, state)
        except KeyboardInterrupt as error:
            raise InterruptedRunError(f"interrupted while pulling {repo}: {note}") from error
        except HubError as error:
            message = f"{error.message}\n{note}"
            raise HubError(message, hint=error.hint, retryable=error.retryable) from error
        faults = check_folder(fresh)
        if not faults:
            fresh.rename(target)
        shutil.rmtree(staging)
    if faults:
        hint = "pull another revision, or ask whoever pushed it"
        shown = (fault.replace(str(fresh), str(repo)) for fault in faults)
        raise StorageError("\n".join([f"what came from {repo} has faults:", *shown]), hint=hint)
    return Pulled(manifest, state.revision, fetched=True)


@contextmanager
def _held(staging: Path, out: Path) -> Iterator[Path]:
    """Hold the folder into which files come first; it stays where not all came."""
    if staging.is_symlink() or (staging.exists() and not (staging / "lock").is_file()):
        raise StorageError(
            f"{staging} is in the way, and was not written by multifaceted", hint="move it away"
        )
    staging.mkdir(parents=True, exist_ok=True)
    lock = FileLock(staging / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        message = f"{out} is being pulled by another process"
        raise LockedError(message, hint="wait until it is done") from error
    try:
        yield staging
    finally:
        lock.release()


def _read_published(repo: DatasetRepo, revision: str | None) -> tuple[RemoteState, BuiltManifest]:
    state = repo.look(revision)
    if state is None:
        hint = "correct the name, or log in with a token that may see it: hf auth login"
        raise HubError(f"{repo} does not exist on the Hub, or is private", hint=hint)
    try:
        manifest = read_remote_manifest(repo, state)
    except ValueError as error:
        raise HubError(
            f"{MANIFEST} of {repo} is damaged, or was not written by multifaceted: {error}"
        ) from error
    if manifest is None:
        hint = "use load_dataset for datasets that were made otherwise"
        raise HubError(f"{repo} holds nothing that `multifaceted push` put there", hint=hint)
    for path, size in list_sizes(manifest).items():
        if path not in state.files:
            raise HubError(f"{repo} has no {path}, which its manifest names")
        there = state.files[path].size
        if there > MAX_MANIFEST if size is None else there != size:
            told = "too many for it" if size is None else f"its manifest says {size:,}"
            raise HubError(f"{path} of {repo} has {there:,} bytes, {told}", hint="pull another revision")
    return state, manifest


def _require_equal(out: Path, manifest: BuiltManifest, state: RemoteState) -> None:
    for path in list_files(manifest):
        remote = state.files.get(path)
        if remote is None or not (out / path).is_file() or not is_same(out / path, remote):
            hint = "name another folder with --out, or move this one away"
            raise StorageError(f"{out} exists and holds something else; it stays as it is", hint=hint)


def _fill(fresh: Path, manifest: BuiltManifest, repo: DatasetRepo, state: RemoteState) -> None:
    """Download into a folder that may hold part of an earlier, interrupted pull."""
    wanted = list_files(manifest)
    if fresh.is_dir():
        for path in [path for path in fresh.rglob("*") if path.is_file()]:
            relative = path.relative_to(fresh)
            if relative.parts[0] != ".cache" and relative.as_posix() not in wanted:
                path.unlink()
    fresh.mkdir(parents=True, exist_ok=True)
    repo.download(wanted, state.revision, fresh)
    shutil.rmtree(fresh / ".cache", ignore_errors=True)  # the client's notes on what it fetched
