import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from multifaceted.errors import StorageError
from multifaceted.journal import Journal, JournalEntry, sum_replies


def entry(key: str, body: str = "{}", stage: str = "response") -> JournalEntry:
    return JournalEntry(key, stage, "row", "m", "live", body, prompt_tokens=3, completion_tokens=2)


def body_of(journal: Journal, key: str) -> str | None:
    stored = journal.get(key)
    return stored.body if stored else None


def put_all(path: Path, entries: list[JournalEntry]) -> None:
    async def put() -> None:
        with Journal(path) as journal:
            await asyncio.gather(*(journal.put(item) for item in entries))

    asyncio.run(put())


def test_what_was_put_is_there_after_reopening(tmp_path: Path) -> None:
    put_all(tmp_path / "j.sqlite", [entry(f"k{n}", f"body {n} \u2028 ｆ") for n in range(300)])
    with Journal(tmp_path / "j.sqlite") as journal:
        assert [body_of(journal, f"k{n}") for n in range(300)] == [f"body {n} \u2028 ｆ" for n in range(300)]
        assert journal.get("other") is None


def test_a_second_body_under_a_key_is_kept_beside_the_first_and_found(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    put_all(path, [entry("k", "first")])
    put_all(path, [entry("k", "second")])
    with Journal(path) as journal:
        assert body_of(journal, "k") == "second"
    with closing(sqlite3.connect(path)) as connection:
        bodies = connection.execute("SELECT body FROM replies ORDER BY attempt").fetchall()
    assert bodies == [("first",), ("second",)]


def test_a_reply_is_found_as_soon_as_put_returns(tmp_path: Path) -> None:
    async def put_and_get() -> str | None:
        with Journal(tmp_path / "j.sqlite") as journal:
            await journal.put(entry("k", "body"))
            return body_of(journal, "k")

    assert asyncio.run(put_and_get()) == "body"


def test_what_put_returned_for_survives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, os, signal, sys
from pathlib import Path
from multifaceted.journal import Journal, JournalEntry
async def main():
    journal = Journal(Path(sys.argv[1]))
    for n in range(50):
        await journal.put(JournalEntry(f"k{n}", "response", "row", "m", "live", f"b{n}"))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    path = tmp_path / "j.sqlite"
    result = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert result.returncode == -9
    with Journal(path) as journal:
        assert [body_of(journal, f"k{n}") for n in range(50)] == [f"b{n}" for n in range(50)]


def test_counts_by_stage_can_be_read_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"

    async def count() -> dict[str, tuple[int, int, int]]:
        with Journal(path) as journal:
            await journal.put(entry("a"))
            await journal.put(entry("b"))
            await journal.put(entry("c", stage="preferences"))
            counts = sum_replies(path)
        return {c.stage: (c.replies, c.prompt_tokens, c.completion_tokens) for c in counts}

    assert asyncio.run(count()) == {"response": (2, 6, 4), "preferences": (1, 3, 2)}


def test_a_file_that_is_no_journal_is_refused_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    path.write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(StorageError, match=r"j\.sqlite"):
        Journal(path)


def test_a_full_disk_is_an_error_for_every_waiting_row(tmp_path: Path) -> None:
    async def fill() -> list[BaseException | None]:
        with Journal(tmp_path / "j.sqlite") as journal:
            # SQLite's own limit on pages stands for the disk's: the error is the same `full`.
            journal._writer.execute("PRAGMA max_page_count = 8")
            large = [entry(f"k{n}", "x" * 100_000) for n in range(5)]
            return await asyncio.gather(*(journal.put(item) for item in large), return_exceptions=True)

    results = asyncio.run(fill())
    assert all(isinstance(result, StorageError) for result in results)


@pytest.mark.parametrize(
    "changes",
    [
        {"body": 'half a character: "\ud83d"', "row_id": "row \udc80"},
        {"prompt_tokens": 2**70, "completion_tokens": -(2**70), "cut_at": 10**30},
        {"usd": float("nan"), "seconds": float("inf")},
        {"body": "with \x00 in it"},
    ],
    ids=["halves", "huge", "not a number", "zero byte"],
)
def test_whatever_a_reply_holds_the_journal_takes_it(tmp_path: Path, changes: dict[str, Any]) -> None:
    put_all(tmp_path / "j.sqlite", [entry("a"), replace(entry("k"), **changes), entry("b")])
    with Journal(tmp_path / "j.sqlite") as journal:
        assert all(journal.get(key) is not None for key in "akb")
    assert [part.replies for part in sum_replies(tmp_path / "j.sqlite")] == [3]


def test_half_a_character_is_kept_as_json_writes_it(tmp_path: Path) -> None:
    put_all(tmp_path / "j.sqlite", [entry("k", '"\ud83d"')])
    with Journal(tmp_path / "j.sqlite") as journal:
        assert body_of(journal, "k") == '"\\ud83d"'


def test_a_writer_that_dies_tells_all_that_wait_and_all_that_come(tmp_path: Path) -> None:
    async def put() -> list[BaseException | None]:
        with Journal(tmp_path / "j.sqlite") as journal:
            journal._commit = lambda batch: 1 / 0  # type: ignore[assignment, method-assign]
            async with asyncio.timeout(5):
                first = await asyncio.gather(
                    *(journal.put(entry(f"k{n}")) for n in range(20)), return_exceptions=True
                )
                late = await asyncio.gather(journal.put(entry("late")), return_exceptions=True)
            return [*first, *late]

    results = asyncio.run(put())
    assert all(isinstance(result, StorageError) for result in results)
    assert "ZeroDivisionError" in str(results[-1])
