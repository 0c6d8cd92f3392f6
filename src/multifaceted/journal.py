"""The durable store of raw replies: a SQLite file in WAL mode, keyed by what was asked.

    with Journal(path) as journal:
        await journal.put(entry)         # returns once the reply is on disk
        journal.get(key)                 # the raw reply, or None

One thread writes. Replies that arrive while it is busy are committed together, so a commit's fsync is
shared by all that wait for it.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import quote

from multifaceted.errors import StorageError

# What was paid for is never erased: a request that is asked again gets a further `attempt`, and a reply that
# is not wanted any more is `set_aside`. `cut_at` is the max_tokens that cut a reply; `usd` is null where the
# cost was unknown. A plain table with an index: bodies are appended, and only keys are kept sorted.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT NOT NULL, attempt INTEGER NOT NULL, stage TEXT NOT NULL, row_id TEXT NOT NULL,
    model TEXT NOT NULL, mode TEXT NOT NULL, body TEXT NOT NULL, cut_at INTEGER, seconds REAL, usd REAL,
    prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    set_aside INTEGER NOT NULL DEFAULT 0,
    UNIQUE (key, attempt)
)
"""
COLUMNS = (
    *("key", "attempt", "stage", "row_id", "model", "mode", "body", "cut_at", "seconds", "usd"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "set_aside"),
)
_INSERT = """
INSERT INTO replies
SELECT ?1, coalesce(max(attempt), 0) + 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0
FROM replies WHERE key = ?1
"""
_SUMS = """
SELECT stage, model, mode, count(*), count(DISTINCT row_id), sum(prompt_tokens), sum(cached_tokens),
       sum(completion_tokens), sum(reasoning_tokens), total(usd), sum(usd IS NULL), total(seconds)
FROM replies WHERE mode <> 'copied' GROUP BY stage, model, mode ORDER BY stage, model, mode
"""
# The mode of a reply that was copied from the journal of another shard, where its cost is counted
COPIED = "copied"
_NEWEST_BODY = "SELECT body FROM replies WHERE key = ?1 AND NOT set_aside ORDER BY attempt DESC LIMIT 1"
_NEWEST = "SELECT body, cut_at FROM replies WHERE key = ? AND NOT set_aside ORDER BY attempt DESC LIMIT 1"
# Not where it is the newest already; but where a worse one came after it, it is wanted again.
_INSERT_NEW = f"{_INSERT} HAVING coalesce(({_NEWEST_BODY}) = ?6, 0) = 0"
_MOST = 2**40  # of a number, so that millions of them have a sum
_LAST_ATTEMPT = "SELECT coalesce(max(attempt), 0) FROM replies WHERE key = ?"
KEYS_AT_ONCE = 500  # in one statement; SQLite takes a bounded number of parameters


@dataclass(frozen=True, slots=True)
class JournalSum:
    """What a journal holds of one stage, model and mode."""

    stage: str
    model: str
    mode: str  # live or batch
    replies: int
    rows: int
    prompt_tokens: int
    cached_tokens: int  # of the prompt's
    completion_tokens: int
    reasoning_tokens: int  # of the completion's
    usd: float
    unpriced: int  # replies whose cost is unknown
    seconds: float  # of all requests, one after the other

    def __add__(self, other: "JournalSum") -> "JournalSum":
        """Return the sum over two journals."""
        counts = [f.name for f in fields(self) if f.type is not str]
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in counts})


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A raw reply on its way to the disk. The fields are the columns in the order the insertion takes."""

    key: str
    stage: str
    row_id: str
    model: str
    mode: str
    body: str
    cut_at: int | None = None
    seconds: float | None = None
    usd: float | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0


class StoredReply(NamedTuple):
    """A raw reply from the disk."""

    body: str
    cut_at: int | None


class KeptReply(NamedTuple):
    """A raw reply with all that the journal knows of it. Equal requests of two rows share one."""

    key: str
    attempt: int
    stage: str
    row_id: str
    model: str
    mode: str
    body: str
    seconds: float | None
    usd: float | None
    prompt_tokens: int
    completion_tokens: int
    set_aside: int


class OtherJournals(Protocol):
    """Journals that may hold replies to the same requests, such as those of the other shards of a run."""

    def find(self, key: str, *, beside: Path) -> list[dict[str, Any]]:
        """Return all attempts under `key`, as columns by name, in the journal that has most of them.

        Args:
            key: of a request.
            beside: the journal that asks, which is not looked into.
        """
        ...


_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
SALVAGE = (
    "put back a copy of the file if you have one; else run `multifaceted generate` again with --salvage: it"
    " takes over every reply that can be read, keeps the damaged file, and asks for the missing replies alone"
)
_Waiting = tuple[JournalEntry, asyncio.Future[None]]


class Journal:
    """Replies of one shard. Open it once per process; the shard's lock keeps other processes out.

    Args:
        path: the file; made where there is none.
        others: where replies may lie that this journal lacks; None for nowhere.
    """

    def __init__(self, path: Path, *, others: OtherJournals | None = None) -> None:
        self._path = path
        self._others = others
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        with _translated(path), ExitStack() as opened:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._reader = opened.enter_context(closing(_connect(path)))
            self._reader.execute(_SCHEMA)
            self._reader.commit()
            # It writes nothing but copies, whose originals are on disk
            self._reader.execute("PRAGMA synchronous = NORMAL")
            self._writer = opened.enter_context(closing(_connect(path)))
            # Most keys of a running shard are new: this spares them the query.
            found = self._reader.execute("SELECT key, sum(set_aside), count(*) FROM replies GROUP BY key")
            counts = list(found)
            opened.pop_all()  # from here on `__exit__` closes them
        self._set_aside: dict[str, int] = {key: aside for key, aside, _ in counts if aside}
        self._keys = {key for key, aside, replies in counts if aside < replies}
        self._ending = threading.Lock()
        self._ended: StorageError | None = None  # why the thread writes no more
        self._thread = threading.Thread(target=self._write, name=f"journal {path.parent.name}", daemon=True)
        self._thread.start()

    def get(self, key: str) -> StoredReply | None:
        """Return the newest raw reply under `key`, or None where it was never asked for, or is set aside."""
        if key not in self._keys:
            return None
        with _translated(self._path):
            found = self._reader.execute(_NEWEST, (key,)).fetchone()
        return None if found is None else StoredReply(*found)

    def adopt(self, key: str) -> bool:
        """Copy what other journals have under `key` and this one lacks; gives whether there was anything.

        A row that moved to another shard has its replies in the journal of its former one.
        """
        if self._others is None:
            return False
        found = self._others.find(key, beside=self._path)
        if not found:
            return False
        with _translated(self._path), self._reader:
            (known,) = self._reader.execute(_LAST_ATTEMPT, (key,)).fetchone()
            new = [{**attempt, "mode": COPIED} for attempt in found if attempt["attempt"] > known]
            for attempt in new:
                names, marks = ", ".join(attempt), ", ".join("?" * len(attempt))
                command = f"INSERT OR IGNORE INTO replies ({names}) VALUES ({marks})"  # noqa: S608
                self._reader.execute(command, list(attempt.values()))
        self._set_aside[key] = self.times_set_aside(key) + sum(attempt["set_aside"] for attempt in new)
        self._keys.add(key)
        return bool(new)

    def times_set_aside(self, key: str) -> int:
        """Return how many replies under `key` were not wanted any more when the journal was opened."""
        return self._set_aside.get(key, 0)

    async def put(self, entry: JournalEntry) -> None:
        """Commit one reply; returns when it is on disk.

        Raises:
            StorageError: where it could not be written.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._ending:  # nothing is queued behind the thread's end
            if self._ended is not None:
                raise self._ended
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

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        batch: list[_Waiting] = []
        try:
            while batch := self._next_batch():
                self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it, and rows would wait for ever
            self._end(error, batch)
        finally:
            self._writer.close()

    def _end(self, error: BaseException, batch: list[_Waiting]) -> None:
        """Tell all that wait, and all that come, why nothing is written any more."""
        ended = StorageError(
            f"{self._path}: the journal's writer stopped: {error!r}",
            hint="run again: what was written is safe",
        )
        with self._ending:
            self._ended = ended
            while not self._queue.empty():
                waiting = self._queue.get_nowait()
                batch = batch if waiting is None else [*batch, waiting]
        if batch:
            _settle([future for _, future in batch], ended)

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
                self._writer.executemany(_INSERT, [_values_of(entry) for entry, _ in batch])
        except StorageError as error:
            failure = error
        _settle([future for _, future in batch], failure)


def sum_replies(path: Path) -> list[JournalSum]:
    """Sum up a journal, without disturbing a process that writes it; nothing where there is none."""
    with open_to_read(path) as connection:
        return [JournalSum(*row) for row in connection.execute(_SUMS)] if connection else []


@contextmanager
def open_to_read(path: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a journal without disturbing a process that writes it; None where there is none, or no table."""
    if not path.exists():
        yield None
        return
    with _translated(path), closing(_open_to_read(path)) as connection:
        has_table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'replies'").fetchone()
        yield connection if has_table else None  # a process may be killed right after making the file


def read_bodies(path: Path, keys: list[str]) -> dict[str, str]:
    """Return the newest raw bodies under some keys, set aside or not."""
    bodies: dict[str, str] = {}
    if not path.exists():
        return bodies
    with _translated(path), closing(_open_to_read(path)) as connection:
        for chosen in _portions(keys):
            marks = ",".join("?" * len(chosen))
            query = f"SELECT key, body FROM replies WHERE key IN ({marks}) ORDER BY attempt"  # noqa: S608
            bodies.update(connection.execute(query, chosen).fetchall())
    return bodies


def read_replies(path: Path, row_id: str, keys: list[str]) -> list[KeptReply]:
    """Every reply that a row asked for, or that lies under one of some keys; in the order they came."""
    if not path.exists():
        return []
    columns = ", ".join(KeptReply._fields)
    marks = ",".join("?" * len(keys))
    query = f"SELECT {columns} FROM replies WHERE row_id = ? OR key IN ({marks}) ORDER BY rowid"  # noqa: S608
    with _translated(path), closing(_open_to_read(path)) as connection:
        return [KeptReply(*values) for values in connection.execute(query, [row_id, *keys])]


def append(path: Path, entries: list[JournalEntry]) -> list[JournalEntry]:
    """Commit replies that came in a file; gives those that were not there yet.

    The same reply under the same key is the same reply: what is read a second time counts once.
    """
    with _translated(path), closing(_connect(path)) as connection, connection:
        connection.execute(_SCHEMA)
        return [e for e in entries if connection.execute(_INSERT_NEW, _values_of(e)).rowcount]


def create_journal(path: Path, rows: Iterable[tuple[Any, ...]]) -> None:
    """Make a journal of rows as another one had them; `COLUMNS` are their values."""
    marks = ", ".join("?" * len(COLUMNS))
    with _translated(path), closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_SCHEMA)
        connection.executemany(f"INSERT OR IGNORE INTO replies VALUES ({marks})", rows)  # noqa: S608


def set_aside(path: Path, keys: list[str]) -> None:
    """Keep the replies under some keys, but let them be asked for again. The shard's lock must be held."""
    with _translated(path), closing(_connect(path)) as connection, connection:
        connection.executemany("UPDATE replies SET set_aside = 1 WHERE key = ?", [(key,) for key in keys])


def set_aside_asked(path: Path, asked: list[tuple[str, str]]) -> None:
    """Keep the replies to some (row id, label), but let them be asked for again."""
    if not path.exists():
        return
    with _translated(path), closing(_connect(path)) as connection, connection:
        command = "UPDATE replies SET set_aside = 1 WHERE row_id = ? AND stage = ? AND NOT set_aside"
        connection.executemany(command, asked)


def _portions(keys: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), KEYS_AT_ONCE):
        yield keys[start : start + KEYS_AT_ONCE]


def _values_of(entry: JournalEntry) -> tuple[str | int | float | None, ...]:
    return tuple(_to_storable(getattr(entry, name)) for name in JournalEntry.__slots__)


def _to_storable(value: str | float | None) -> str | int | float | None:
    """Return a value that SQLite takes: text that has a UTF-8 form, numbers that can be summed up."""
    if isinstance(value, int):
        return max(-_MOST, min(value, _MOST))
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()  # as JSON writes half a character
    return value


def _open_to_read(path: Path) -> sqlite3.Connection:
    # Without a write-ahead log nobody is at work: read the file as it lies, even from a read-only disk.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True)


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
    with ExitStack() as opened:
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        opened.callback(connection.close)
        connection.execute("PRAGMA journal_mode = WAL")
        # In WAL mode NORMAL may lose the last commits on power loss.
        connection.execute("PRAGMA synchronous = FULL")
        opened.pop_all()
    return connection


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of it says more
        if code in _DAMAGED or (path.exists() and not path.is_file()):
            raise StorageError(f"{path} is damaged: {error}", hint=SALVAGE) from error
        hint = "free some disk space or mend the folder's permissions, then run again: the rest is safe"
        raise StorageError(f"{path}: {error}", hint=hint) from error
