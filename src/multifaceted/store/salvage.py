"""Journals that are damaged: what can be read goes into a new one, and the old file is kept.

Example:
    for found in salvage_journals(folder):
        found.path, found.replies, found.kept
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from multifaceted.journal import COLUMNS, SALVAGE, create_journal
from multifaceted.store.atomic import settle_file, translate_os_errors
from multifaceted.store.mend import copy_aside
from multifaceted.store.run_folder import RunFolder

AT_ONCE = 64  # rows that are read in one go; where that fails, one by one
SMALLEST = 64  # bytes of a row at least, by which the size of a file bounds their number


class Salvaged(NamedTuple):
    """What became of a damaged journal."""

    path: Path
    replies: int  # that could be read
    kept: Path  # the damaged file


def salvage_journals(folder: RunFolder) -> Iterator[Salvaged]:
    """Replace each damaged journal of a run by one with all that can be read of it.

    Raises:
        LockedError: where a process works on its shard.
        StorageError: where the disk is full.
    """
    for path in folder.list_journals():
        with folder.lock(path.parent.name):
            if not is_sound(path):
                yield _salvage(path)


def is_sound(path: Path) -> bool:
    """Return whether SQLite finds nothing wrong with a journal."""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(replies)")}
            is_ours = not columns or set(COLUMNS) <= columns
            return is_ours and connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.Error:
        return False


def find_damage(path: Path) -> str:
    """Return what is wrong with a journal, and what to do; empty where nothing is, or there is none."""
    return f"{path} is damaged; {SALVAGE}" if os.path.lexists(path) and not is_sound(path) else ""


def _salvage(path: Path) -> Salvaged:
    fresh = path.with_name(f"{path.name}.salvaged.tmp")
    with translate_os_errors(path):
        fresh.unlink(missing_ok=True)
        rows = list(_read_rows(path)) if path.is_file() else []
        create_journal(fresh, rows)
        kept = copy_aside(path)  # first: at no moment is there no journal under the name
        for suffix in ("-wal", "-shm"):  # they belong to the damaged file
            beside = path.with_name(f"{path.name}{suffix}")
            if beside.exists():
                beside.rename(kept.with_name(f"{kept.name}{suffix}"))
        settle_file(fresh, path)
    return Salvaged(path, len(rows), kept)


def _read_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Yield every row of the table that can be read, in order; pages that are damaged are passed over."""
    names, last = ", ".join(COLUMNS), path.stat().st_size // SMALLEST + AT_ONCE
    query = f"SELECT {names} FROM replies NOT INDEXED WHERE rowid BETWEEN ? AND ?"  # noqa: S608
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=rw", uri=True)) as connection:
        for first in range(1, last, AT_ONCE):
            try:
                yield from connection.execute(query, (first, first + AT_ONCE - 1)).fetchall()
            except sqlite3.Error:
                for number in range(first, first + AT_ONCE):
                    yield from _read_row(connection, query, number)


def _read_row(connection: sqlite3.Connection, query: str, number: int) -> list[tuple[Any, ...]]:
    try:
        return [row for row in connection.execute(query, (number, number)) if isinstance(row[0], str)]
    except (sqlite3.Error, UnicodeDecodeError):
        return []
