"""Bringing a published folder back: `pull("org/name", Path("multifaceted_collection"), revision="v1")`.

Only what the manifest names comes, all of it from one commit, and it takes its place when the check finds
nothing wrong with it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from multifaceted.errors import HubError, InterruptedRunError, StorageError
from multifaceted.publish.changes import is_same, list_files, read_remote_manifest
from multifaceted.publish.hub import DatasetRepo, RemoteState
from multifaceted.publish.verify import check_folder
from multifaceted.store.atomic import translate_os_errors
from multifaceted.store.built_folder import BuiltManifest


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
    repo = DatasetRepo(repo_id)
    state, manifest = _read_published(repo, revision)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        _require_equal(out, manifest, state)
        return Pulled(manifest, state.revision, fetched=False)
    fresh = out.absolute().with_name(f".{out.absolute().name}.pulling")
    with translate_os_errors(out):
        note = f"what came is kept in {fresh}, and the same pull goes on with it"
        try:
            _fill(fresh, manifest, repo, state)
        except KeyboardInterrupt as error:
            raise InterruptedRunError(f"interrupted while pulling {repo}: {note}") from error
        except HubError as error:
            message = f"{error.message}\n{note}"
            raise HubError(message, hint=error.hint, retryable=error.retryable) from error
        faults = check_folder(fresh)
        if faults:
            shutil.rmtree(fresh)
            hint = "pull another revision, or ask whoever pushed it"
            raise StorageError("\n".join([f"what came from {repo} has faults:", *faults]), hint=hint)
        fresh.rename(out)
    return Pulled(manifest, state.revision, fetched=True)


def _read_published(repo: DatasetRepo, revision: str | None) -> tuple[RemoteState, BuiltManifest]:
    state = repo.look(revision)
    if state is None:
        hint = "correct the name, or log in with a token that may see it: hf auth login"
        raise HubError(f"{repo} does not exist on the Hub, or is private", hint=hint)
    manifest = read_remote_manifest(repo, state)
    if manifest is None:
        hint = "use load_dataset for datasets that were made otherwise"
        raise HubError(f"{repo} holds nothing that `multifaceted push` put there", hint=hint)
    strange = [path for path in list_files(manifest) if not _is_below(path)]
    if strange:
        raise HubError(f"the manifest of {repo} names files outside its folder: {', '.join(strange)}")
    return state, manifest


def _is_below(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path


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
