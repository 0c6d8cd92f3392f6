"""A journal that is only looked into: `with ReadJournal(path, others=moved) as journal: journal.get(key)`.

Another process may write it meanwhile. Nothing on the disk changes, and no lock is taken.
"""

from contextlib import ExitStack
from pathlib import Path

from multifaceted.errors import StorageError
from multifaceted.journal import Journal, JournalEntry, OtherJournals, StoredReply, open_to_read

_NEWEST = "SELECT body, cut_at FROM replies WHERE key = ? AND NOT set_aside ORDER BY attempt DESC LIMIT 1"
_LAST_ATTEMPT = "SELECT coalesce(max(attempt), 0) FROM replies WHERE key = ?"


class ReadJournal(Journal):
    """Replies of one shard, and of its rows that lie elsewhere; none where there is no journal yet."""

    def __init__(self, path: Path, *, others: OtherJournals) -> None:
        self._path = path
        self._others: OtherJournals = others
        self._adopted: dict[str, StoredReply] = {}
        self._open = ExitStack()
        self._connection = self._open.enter_context(open_to_read(path))

    def get(self, key: str) -> StoredReply | None:
        """Return the newest raw reply under `key` that is not set aside."""
        if key in self._adopted or self._connection is None:
            return self._adopted.get(key)
        found = self._connection.execute(_NEWEST, (key,)).fetchone()
        return None if found is None else StoredReply(*found)

    def adopt(self, key: str) -> bool:
        """Remember what other journals have under `key` and this one lacks."""
        found = self._others.find(key, beside=self._path)
        known = self._connection.execute(_LAST_ATTEMPT, (key,)).fetchone()[0] if self._connection else 0
        wanted = [attempt for attempt in found if attempt["attempt"] > known and not attempt["set_aside"]]
        if not wanted or key in self._adopted:
            return False
        self._adopted[key] = StoredReply(wanted[-1]["body"], wanted[-1]["cut_at"])
        return True

    def times_set_aside(self, key: str) -> int:
        """Nothing is sent, so no seed varies."""
        del key
        return 0

    async def put(self, entry: JournalEntry) -> None:
        """Refuse to write.

        Raises:
            StorageError: always.
        """
        raise StorageError(f"{self._path} is open for reading only; {entry.key} was not written")

    def close(self) -> None:
        """Let the file go."""
        self._open.close()
