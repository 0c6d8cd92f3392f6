"""The durable store of raw replies: a SQLite file in WAL mode, keyed by what was asked.

    with Journal(path) as journal:
        await journal.put(entry)         # returns once the reply is on disk
        journal.get(key)                 # its raw body, or None

One thread writes. Replies that arrive while it is busy are committed together, so a commit's fsync is
shared by all that wait for it.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from multifaceted.errors import StorageError

# `attempt` grows when a body that was no usable reply is asked for again: what was paid for is never erased.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, stage TEXT NOT NULL, row_id TEXT NOT NULL,
    body TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (key, attempt)
) WITHOUT ROWID
"""
_INSERT = """
INSERT INTO replies
SELECT ?1, coalesce(max(attempt), 0) + 1, ?2, ?3, ?4, ?5, ?6 FROM replies WHERE key = ?1
"""


@dataclass(frozen=True, slots=True)
class JournalCount:
    """What a journal holds of one stage."""

    stage: str
    replies: int
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A raw reply on its way to the disk."""

    key: str
    stage: str
    row_id: str
    body: str
    prompt_tokens: int
    completion_tokens: int

    def values(self) -> tuple[str | int, ...]:
        """The columns in the order the insertion takes them."""
        return self.key, self.stage, self.row_id, self.body, self.prompt_tokens, self.completion_tokens


_Waiting = tuple[JournalEntry, asyncio.Future[None]]


class Journal:
    """Replies of one shard. Open it once per process; the shard's lock keeps other processes out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        with _translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = _connect(path)
            self._reader.execute(_SCHEMA)
            self._reader.commit()
            self._writer = _connect(path)
            # Most keys of a running shard are new: a set spares them the query.
            self._keys = {key for (key,) in self._reader.execute("SELECT DISTINCT key FROM replies")}
        self._thread = threading.Thread(target=self._write, name=f"journal {path.parent.name}", daemon=True)
        self._thread.start()

    def get(self, key: str) -> str | None:
        """The newest raw body under `key`, or None where it was never asked for."""
        if key not in self._keys:
            return None
        with _translated(self._path):
            found = self._reader.execute(
                "SELECT body FROM replies WHERE key = ? ORDER BY attempt DESC LIMIT 1", (key,)
            ).fetchone()
        return None if found is None else str(found[0])

    async def put(self, entry: JournalEntry) -> None:
        """Commit one reply; returns when it is on disk.

        Raises:
            StorageError: where it could not be written.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((entry, future))
        await future
        self._keys.add(entry.key)

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._queue.put(None)
        self._thread.join()
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        try:
            while batch := self._next_batch():
                self._commit(batch)
        finally:
            self._writer.close()

    def _next_batch(self) -> list[_Waiting]:
        """Wait for one reply, and take all others that are waiting by then; empty at the end."""
        first = self._queue.get()
        batch = [] if first is None else [first]
        while first is not None:
            try:
                more = self._queue.get_nowait()
            except queue.Empty:
                break
            if more is None:
                self._queue.put(None)  # for the next call: this batch comes first
                break
            batch.append(more)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        failure: StorageError | None = None
        try:
            with _translated(self._path), self._writer:
                self._writer.executemany(_INSERT, [entry.values() for entry, _ in batch])
        except StorageError as error:
            failure = error
        _settle([future for _, future in batch], failure)


def count_replies(path: Path) -> list[JournalCount]:
    """Sum up a journal by stage, without disturbing a process that writes it; nothing where there is none."""
    if not path.exists():
        return []
    # Without a write-ahead log nobody is at work: read the file as it lies, even from a read-only disk.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    uri = f"file:{quote(str(path))}?{mode}"
    with _translated(path), closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute(
            "SELECT stage, count(*), sum(prompt_tokens), sum(completion_tokens) FROM replies GROUP BY stage"
        ).fetchall()
    return [JournalCount(*row) for row in rows]


def _settle(futures: list[asyncio.Future[None]], failure: Exception | None) -> None:
    """Tell the waiting rows, in their own loop: one call for the whole batch."""

    def tell() -> None:
        for future in futures:
            if future.done():  # cancelled in the meantime
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)

    futures[0].get_loop().call_soon_threadsafe(tell)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # in WAL mode NORMAL may lose the last commits on power loss
    return connection


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        hint = "free some disk space or mend the folder's permissions, then run again: the rest is safe"
        raise StorageError(f"{path}: {error}", hint=hint) from error
