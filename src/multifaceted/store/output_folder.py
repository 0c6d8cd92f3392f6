"""Folders that commands write into with `--out`, in which people may keep files of their own.

Example:
    with replaced_output(out, command="build", inputs=[run], read_owned=read) as fresh:
        (fresh / "README.md").write_text(...)

All is written into a folder beside `out` first. When it is durable, it takes the place of what this command
made there before: at once where nothing else lies in `out`, else file by file, by a list that is on disk
before the first file moves, see decision 21. Files that are not ours are never touched; files of ours that
somebody edited are kept aside as `NAME.edited`.
"""

import logging
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from filelock import FileLock, Timeout

from multifaceted.errors import LockedError, StorageError
from multifaceted.ids import hash_file
from multifaceted.store.atomic import read_json, translate_os_errors, write_json
from multifaceted.store.moves import LIST, NEW, Moves, finish_moves, make_moves, swap_folders, sync_tree

Owned: TypeAlias = Mapping[str, str]  # the SHA-256 of each file of ours, by its path in the folder
RECORD = ".multifaceted.json"  # what is ours, in folders that have no manifest
_KIND = "multifaceted-output"
_ATTEMPTS = 20  # to hold a folder that another process is just taking away

logger = logging.getLogger(__name__)


@contextmanager
def replaced_output(
    out: Path,
    *,
    command: str,
    marker: str = RECORD,
    inputs: Iterable[Path] = (),
    read_owned: Callable[[Path], Owned | None],
) -> Iterator[Path]:
    """Give a fresh folder to write into, which takes the place of `out` if nothing goes wrong.

    Args:
        out: where the output is to be; a symbolic link is followed, and stays.
        command: which command of ours writes, such as `build`.
        marker: the file that says what else is there; it goes first and comes last.
        inputs: what the command reads, none of which may lie in `out`, or hold it.
        read_owned: the files of ours in a folder; None where the folder is none of ours.

    Raises:
        LockedError: where another process writes there.
        StorageError: where `out` is something else, a file of somebody is in the way, or the disk is full.
    """
    with translate_os_errors(out):
        target = _find_target(out)
        _refuse_inputs(out, target, inputs)
        with _held(_stage(target), out, command) as staging:
            finish_moves(staging, target)
            owned = _require_owned(out, target, command, read_owned)
            yield _make_fresh(staging)
            _settle(staging, target, owned, marker, can_swap=True)


@contextmanager
def replaced_files(
    out: Path, *, command: str, marker: str, read_owned: Callable[[Path], Owned]
) -> Iterator[Path]:
    """Give a fresh folder for several files that stand in the folder of `out`, beside files of anybody.

    Args:
        out: the first of the files, by which the others are named.
        command: which command of ours writes.
        marker: the name of the file that says which the others are; it goes first and comes last.
        read_owned: the files of ours in the folder; raises where something is in the way.

    Raises:
        LockedError: where another process writes there.
        StorageError: where a file of somebody is in the way, or the disk is full.
    """
    with translate_os_errors(out):
        target = Path(os.path.realpath(out.parent))
        target.mkdir(parents=True, exist_ok=True)
        with _held(target / f".{out.name}.multifaceted", out, command) as staging:
            finish_moves(staging, target)
            owned = read_owned(target)
            yield _make_fresh(staging)
            _settle(staging, target, owned, marker, can_swap=False)


def settle_output(out: Path) -> None:
    """Bring to its end what a process that was killed had begun to put into a folder, as readers do first.

    Raises:
        StorageError: where it cannot be written.
    """
    target = Path(os.path.realpath(out))
    for staging in _stages(target):
        if (staging / LIST).is_file():
            # Where it is held, whoever holds it finishes.
            with suppress(LockedError), translate_os_errors(out), _held(staging, out, "check"):
                finish_moves(staging, target)


def write_record(fresh: Path, command: str) -> None:
    """Write down which files of a fresh folder are ours; the last file to be written."""
    files = {path.relative_to(fresh).as_posix(): hash_file(path) for path in _list_files(fresh)}
    write_json(fresh / RECORD, {"kind": _KIND, "command": command, "files": dict(sorted(files.items()))})


def read_record(folder: Path, command: str) -> Owned | None:
    """Return the files of ours in a folder that `write_record` wrote of; None where the command made none.

    Raises:
        StorageError: where it is damaged.
    """
    found = read_json(folder / RECORD)
    if not isinstance(found, dict) or (found.get("kind"), found.get("command")) != (_KIND, command):
        return None
    files = found.get("files")
    if not isinstance(files, dict) or not all(map(is_plain_path, files)):
        raise StorageError(f"{folder / RECORD} is damaged", hint="name another folder with --out")
    return {**files, RECORD: hash_file(folder / RECORD)}


def is_plain_path(path: str) -> bool:
    """Return whether a path from elsewhere stays in its folder, and names nothing hidden."""
    pure = PurePosixPath(path)
    plain = path == pure.as_posix() and path.isprintable() and not set(path) & set('\\:*?"<>|')
    return (
        plain
        and not pure.is_absolute()
        and bool(pure.parts)
        and not path.startswith(".")
        and "/." not in path
    )


def _find_target(out: Path) -> Path:
    """Return where `out` leads, without links."""
    try:
        target = Path(os.path.realpath(out, strict=os.path.lexists(out) and not out.is_symlink()))
    except (OSError, ValueError) as error:
        raise StorageError(f"{out} cannot be a folder: {error}", hint="name another with --out") from error
    if target.is_symlink():  # realpath gives up on links that lead to themselves
        raise StorageError(f"{out} is a link that leads nowhere", hint="name another folder with --out")
    if os.path.lexists(target) and not target.is_dir():
        raise StorageError(f"{out} exists and is not a folder", hint="name another with --out")
    return target


def _refuse_inputs(out: Path, target: Path, inputs: Iterable[Path]) -> None:
    for given in inputs:
        path = Path(os.path.realpath(given))
        if not path.exists():
            continue
        if _is_within(path, target):
            said = "is" if _is_within(target, path) else "contains"
        elif _is_within(target, path):
            said = "lies in"
        else:
            continue
        hint = (
            "name a folder elsewhere, such as --out ../output"
            if said != "contains"
            else (f"name a folder of its own, such as --out {out / 'output'}")
        )
        raise StorageError(f"--out {out} {said} {given}, which this command reads", hint=hint)


def _is_within(inner: Path, outer: Path) -> bool:
    """Return whether a path is a folder or lies in it, by what the file system says and not by names."""
    return any(_is_same(path, outer) for path in (inner, *inner.parents))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _stages(target: Path) -> tuple[Path, Path]:
    return target.parent / f".{target.name}.multifaceted", target / ".multifaceted"


def _stage(target: Path) -> Path:
    """Return where to write first: beside the folder, or inside where that is another disk or not allowed."""
    beside, inside = _stages(target)
    elsewhere = target.is_dir() and (os.path.ismount(target) or not os.access(target.parent, os.W_OK))
    return inside if elsewhere or not target.name else beside


@contextmanager
def _held(staging: Path, out: Path, command: str) -> Iterator[Path]:
    """Hold the staging folder of an output, alone; it is gone afterwards, unless moves are left to make."""
    lock = _acquire(staging, out)
    try:
        (staging / "who").write_text(
            f"multifaceted {command}, process {os.getpid()} on {socket.gethostname()}", encoding="utf-8"
        )
        yield staging
    finally:
        if not (staging / LIST).exists():
            _take_away(staging)
        lock.release()


def _take_away(staging: Path) -> None:
    """Remove a staging folder; the lock, by which it is known as ours, goes last."""
    with suppress(OSError):
        for path in staging.iterdir():
            if path.name != "lock":
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
        (staging / "lock").unlink()
        staging.rmdir()


def _acquire(staging: Path, out: Path) -> FileLock:
    for attempt in range(_ATTEMPTS):
        if staging.is_dir() and not (staging / "lock").exists() and any(staging.iterdir()):
            raise StorageError(
                f"{staging} is in the way, and was not written by multifaceted", hint="move it away"
            )
        staging.mkdir(parents=True, exist_ok=True)
        lock = FileLock(staging / "lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            who = _read_who(staging)
            raise LockedError(f"{out} is being written by {who}", hint="wait until it is done") from error
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue  # the process that held it has just taken the folder away
        return lock
    raise AssertionError("not reached")


def _read_who(staging: Path) -> str:
    try:
        return (staging / "who").read_text(encoding="utf-8") or "another process"
    except OSError:
        return "another process"


def _require_owned(
    out: Path, target: Path, command: str, read_owned: Callable[[Path], Owned | None]
) -> Owned:
    if not target.exists() or all(path.name.startswith(".") for path in target.iterdir()):
        found = read_owned(target) if target.exists() else None
        return found or {}
    owned = read_owned(target)
    if owned is None:
        hint = "name another folder with --out, or move this one away"
        raise StorageError(f"{out} exists and was not made by `multifaceted {command}`", hint=hint)
    return owned


def _make_fresh(staging: Path) -> Path:
    shutil.rmtree(staging / NEW, ignore_errors=True)
    (staging / NEW).mkdir()
    return staging / NEW


def _settle(staging: Path, target: Path, owned: Owned, marker: str, *, can_swap: bool) -> None:
    """Put what was written into its place."""
    fresh = staging / NEW
    sync_tree(fresh)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh.rename(target)
        sync_tree(target.parent, deep=False)
        return
    moves = make_moves(fresh, target, owned, marker)
    if moves.in_the_way:
        names = ", ".join(str(target / name) for name in moves.in_the_way)
        hint = "name another place with --out, or move them away"
        raise StorageError(f"in the way, and not made by this tool: {names}; nothing was changed", hint=hint)
    if not (can_swap and _holds_only(target, moves, owned) and swap_folders(fresh, target)):
        write_json(staging / LIST, moves.as_dict())  # from here on, the new is what there will be
        finish_moves(staging, target)
    for name, aside in moves.aside.items():
        logger.warning("%s was edited by hand; it is kept as %s", target / name, aside)


def _holds_only(target: Path, moves: Moves, owned: Owned) -> bool:
    """Whether a folder holds nothing but files of ours as they were written, and nobody's present folder."""
    if moves.aside or _is_within(Path.cwd(), target):
        return False
    return all(path.relative_to(target).as_posix() in owned for path in _list_files(target))


def _list_files(folder: Path) -> list[Path]:
    """Return all files in a folder, and empty folders, which somebody may have made."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if path.is_symlink() or not path.is_dir() or not any(path.iterdir())]
