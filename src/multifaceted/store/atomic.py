"""Files and folders that appear whole or not at all, written beside their place; and folders held alone."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from multifaceted.errors import LockedError, StorageError


@contextmanager
def translate_os_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into a `StorageError` that says so."""
    try:
        yield
    except OSError as error:
        hint = "free some disk space or mend the folder's permissions, then run again"
        raise StorageError(f"{path}: {error.strerror or error}", hint=hint) from error


@contextmanager
def held_folder(folder: Path, *, busy: str, hint: str) -> Iterator[None]:
    """Hold a folder, made where it is missing; the lock goes with the process, however it ends.

    Raises:
        LockedError: saying `busy`, where another process holds it.
    """
    lock = FileLock(folder / "lock", timeout=0)
    with translate_os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            raise LockedError(busy, hint=hint) from error
    try:
        yield
    finally:
        lock.release()


def settle_file(temporary: Path, path: Path) -> None:
    """Make a finished temporary file durable, under its own name."""
    sync_file(temporary)
    temporary.replace(path)
    sync_file(path.parent)  # a rename is durable only once the folder that lists it is


def sync_file(path: Path) -> None:
    """Make a file, or a folder's list of names, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """A name beside `path` for a file, which takes its place if nothing goes wrong.

    Raises:
        StorageError: where the disk is full or the folder cannot be written.
    """
    # Processes that share a run write the same small files: each under a name of its own at first.
    temporary = temporary_of(path.with_name(f"{path.name}.{os.getpid()}"))
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            settle_file(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or leave what was there.

    Raises:
        StorageError: where the disk is full or the folder cannot be written.
    """
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def temporary_of(path: Path) -> Path:
    """Return where a file is written until it is finished; loaders and globs pass `.tmp` over."""
    return path.with_name(f"{path.name}.tmp")


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole, keys in the order given."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of ours; None where there is none.

    Raises:
        StorageError: where it cannot be read or is not JSON.
    """
    try:
        if not require_file(path):
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{path} is damaged: {error}") from error


def require_file(path: Path) -> bool:
    """Return whether there is a file; what stands in its place and is none, such as a pipe, would never end.

    Raises:
        StorageError: where something else has its name.
    """
    # Asked before: a file that another process makes meanwhile is none to complain of.
    is_there = os.path.lexists(path)
    if path.is_file():
        return True
    if is_there and os.path.lexists(path):
        raise StorageError(f"{path} is not a file", hint="move it away, and run again")
    return False
