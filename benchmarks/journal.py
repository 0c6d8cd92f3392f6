"""Durable replies per second, beside appending to a plain file with a sync for each group as large."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

from common import Result

from multifaceted.journal import Journal, JournalEntry

WRITERS = 64  # requests in flight
BODY = "x" * 3000


def bench(folder: Path, *, replies: int = 20_000) -> Iterator[Result]:
    """As many rows wait for their reply to be on disk as there are requests in flight."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds = asyncio.run(_write(folder / "journal.sqlite", replies))
    plain = _append(folder / "plain", replies)
    rate, ceiling = replies / seconds, replies / plain
    yield Result(
        "journal, 3 KB replies",
        f"{rate:,.0f} replies/s",
        f"plain file, one sync for {WRITERS}: {ceiling:,.0f}/s, ratio {rate / ceiling:.2f}",
        "≥ 2,000/s",
        rate >= 2000,  # noqa: PLR2004
    )


async def _write(path: Path, replies: int) -> float:
    numbers = iter(range(replies))
    with Journal(path) as journal:

        async def put() -> None:
            for number in numbers:
                await journal.put(JournalEntry(f"{number:064x}", "response", "row", "m", "live", BODY))

        began = time.perf_counter()
        await asyncio.gather(*(put() for _ in range(WRITERS)))
        return time.perf_counter() - began


def _append(path: Path, replies: int) -> float:
    began = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for number in range(replies):
            file.write(BODY.encode())
            if number % WRITERS == 0:
                os.fsync(file.fileno())
    return time.perf_counter() - began
