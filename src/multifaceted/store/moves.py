"""Files that move from a staging folder into their place, so that a process which is killed can be continued.

Example:
    write_json(staging / LIST, make_moves(fresh, target, owned, marker).as_dict())
    finish_moves(staging, target)       # may be killed anywhere, and called again

The list is on disk before the first file moves. Each step leaves a trace by which a later call knows that it
is done: a file that is no longer in the staging folder is in its place.
"""

import ctypes
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from multifaceted.ids import hash_file
from multifaceted.store.atomic import read_json, sync_file

NEW, LIST = "new", "moves.json"
_SWAP = 2  # RENAME_EXCHANGE of Linux's renameat2, and RENAME_SWAP of macOS's renamex_np
_HERE = -100  # AT_FDCWD


@dataclass(frozen=True)
class Moves:
    """What is to become of the files in a folder. Paths are relative to it."""

    marker: str  # goes first, comes last
    files: list[str] = field(default_factory=list)  # come from the staging folder
    remove: list[str] = field(default_factory=list)  # of ours, and not written any more
    aside: dict[str, str] = field(
        default_factory=dict
    )  # edited by hand, to the name under which each is kept
    in_the_way: list[str] = field(default_factory=list)  # of somebody, where a file of ours would go

    def as_dict(self) -> dict[str, Any]:
        """Return the list as it is written down."""
        return asdict(self)


def make_moves(fresh: Path, target: Path, owned: Mapping[str, str], marker: str) -> Moves:
    """Compare what was written with what is there.

    Args:
        fresh: the folder that was written.
        target: the folder that is to hold it.
        owned: SHA-256 of the files of ours in it, by path.
        marker: the file among them that says what the others are.
    """
    files = sorted(path.relative_to(fresh).as_posix() for path in fresh.rglob("*") if not path.is_dir())
    moves = Moves(marker, files)
    for name in files:
        path = target / name
        if _is_barred(target, name) or (name not in owned and os.path.lexists(path)):
            moves.in_the_way.append(name)
        elif name in owned and os.path.lexists(path) and _is_edited(path, owned[name], fresh / name):
            moves.aside[name] = _name_aside(target, name)
    for name in sorted(set(owned) - set(files)):
        path = target / name
        if not os.path.lexists(path) or _is_barred(target, name):
            continue
        if _is_edited(path, owned[name]):
            moves.aside[name] = _name_aside(target, name)
        else:
            moves.remove.append(name)
    return moves


def finish_moves(staging: Path, target: Path) -> None:
    """Make the moves that are listed in a staging folder, or what is left of them."""
    found = read_json(staging / LIST)
    if found is None:
        return
    moves, fresh = Moves(**found), staging / NEW
    if (fresh / moves.marker).exists() and moves.marker not in moves.aside:
        (target / moves.marker).unlink(missing_ok=True)
    for name, aside in moves.aside.items():
        is_done = name in moves.files and not (fresh / name).exists()
        if not is_done and os.path.lexists(target / name):
            (target / name).rename(target / aside)
    for name in moves.remove:
        (target / name).unlink(missing_ok=True)
        _remove_empty(target, name)
    for name in sorted(moves.files, key=lambda name: name == moves.marker):
        if (fresh / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).replace(target / name)
    sync_tree(target, deep=False)
    (staging / LIST).unlink()
    shutil.rmtree(fresh, ignore_errors=True)


def swap_folders(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where this system or disk cannot."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        names = os.fsencode(one), os.fsencode(other)
        if sys.platform == "linux":
            result = libc.renameat2(_HERE, names[0], _HERE, names[1], _SWAP)
        else:
            result = libc.renamex_np(*names, _SWAP)
    except (OSError, AttributeError, TypeError):  # TypeError: Windows has no such library
        return False
    if result == 0:
        shutil.copymode(one, other)
        sync_file(other.parent)
    return bool(result == 0)


def sync_tree(folder: Path, *, deep: bool = True) -> None:
    """Make a folder's list of names durable, and with `deep` everything in it."""
    for path in folder.rglob("*") if deep else ():
        sync_file(path)
    sync_file(folder)


def _is_edited(path: Path, sha256: str, new: Path | None = None) -> bool:
    """Return whether a file of ours is another one since, and not by chance the one that takes its place."""
    if path.is_symlink() or not path.is_file():
        return True
    found = hash_file(path)
    return found != sha256 and (new is None or found != hash_file(new))


def _is_barred(target: Path, name: str) -> bool:
    """Return whether a folder on the way to a file is none: a file, or a link that leads elsewhere."""
    above = [target / part for part in Path(name).parents if part.name]
    return any(path.is_symlink() or (path.exists() and not path.is_dir()) for path in above)


def _name_aside(target: Path, name: str) -> str:
    number, aside = 1, f"{name}.edited"
    while os.path.lexists(target / aside):
        number += 1
        aside = f"{name}.edited-{number}"
    return aside


def _remove_empty(target: Path, name: str) -> None:
    """Remove the folders that a file leaves empty."""
    for folder in (target / part for part in Path(name).parents if part.name):
        try:
            folder.rmdir()
        except OSError:
            return
