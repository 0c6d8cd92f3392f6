"""Replies of rows that moved to another shard: they lie in the journal of their former one.

Example:
    with Journal(folder.journal_file("00001"), others=MovedReplies(folder)) as journal:
        journal.adopt(key)               # copied from wherever it lies in the run folder

Shards are cut by position. An instruction that is inserted, deleted or sorted elsewhere moves rows after it
across the borders of shards, and what was paid for goes with them.
"""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from multifaceted.journal import open_to_read
from multifaceted.store.run_folder import RunFolder

_PREFIX = (
    16  # hexadecimal digits of a key that are held: eight bytes, whose rare twins are told apart on disk
)
_Index = tuple[np.ndarray[Any, np.dtype[np.uint64]], np.ndarray[Any, np.dtype[np.uint32]]]


class MovedReplies:
    """The journals of all shards of a run, as they were when the first reply was missed.

    It takes twelve bytes for each reply of the run, and nothing while no reply is missed.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._files: list[Path] = []
        self._index: _Index | None = None

    def find(self, key: str, *, beside: Path) -> list[dict[str, Any]]:
        """All attempts under `key` in the journal that has most of them; `beside` is not looked into."""
        found: list[dict[str, Any]] = []
        for file in self.list_files(key):
            if file != beside:
                found = max(found, _read_attempts(file, key), key=len)
        return found

    def list_files(self, key: str) -> list[Path]:
        """Return the journals that hold `key`, and hardly ever one that does not."""
        if self._index is None:
            self._index = self._read_keys()
        prefixes, owners = self._index
        wanted = np.uint64(int(key[:_PREFIX], 16))
        start = int(np.searchsorted(prefixes, wanted))
        files = []
        while start < len(prefixes) and prefixes[start] == wanted:
            files.append(self._files[owners[start]])
            start += 1
        return files

    def _read_keys(self) -> _Index:
        self._files = self._folder.list_journals()
        # Of each journal alone, so that keys as text are never held for all
        parts = [_read_prefixes(file) for file in self._files]
        prefixes = np.concatenate([np.empty(0, np.uint64), *parts])
        owners = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part) for part in parts])
        order = np.argsort(prefixes, kind="stable")
        return prefixes[order], owners[order]


def _read_prefixes(file: Path) -> np.ndarray[Any, np.dtype[np.uint64]]:
    with open_to_read(file) as connection:
        if connection is None:
            return np.empty(0, np.uint64)
        keys = connection.execute("SELECT DISTINCT key FROM replies")
        return np.fromiter((int(key[:_PREFIX], 16) for (key,) in keys), np.uint64)


def _read_attempts(file: Path, key: str) -> list[dict[str, Any]]:
    with open_to_read(file) as connection:
        if connection is None:
            return []
        connection.row_factory = sqlite3.Row
        found = connection.execute("SELECT * FROM replies WHERE key = ? ORDER BY attempt", (key,))
        return [dict(row) for row in found]
