"""What one sees of a long run: a live line on a terminal, a plain line every half minute elsewhere."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from multifaceted.cli import show
from multifaceted.records import Tally

REFRESH = 0.25  # seconds, on a terminal
PLAIN_EVERY = 30.0  # seconds, without one
RATE_WINDOW = 20  # refreshes over which the rate is taken


@asynccontextmanager
async def watch(tally: Tally) -> AsyncIterator[None]:
    """Show a run's tally for as long as the block lasts."""
    watcher = asyncio.create_task(_draw(tally) if show.err.is_terminal else _print_lines(tally))
    try:
        yield
    finally:
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher


async def _draw(tally: Tally) -> None:
    columns = (
        SpinnerColumn(),
        TextColumn("rows"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=show.err) as progress:
        bar = progress.add_task("rows", total=None, note="starting")
        seen: list[tuple[float, int]] = []
        try:
            while True:
                seen = [*seen, (time.monotonic(), tally.requests)][-RATE_WINDOW:]
                done = tally.ok + tally.failed
                progress.update(
                    bar, total=tally.planned or None, completed=done, note=_note(tally, _rate(seen))
                )
                await asyncio.sleep(REFRESH)
        finally:
            done = tally.ok + tally.failed
            progress.update(bar, total=tally.planned or None, completed=done, note=_note(tally, _rate(seen)))


async def _print_lines(tally: Tally) -> None:
    before, last = time.monotonic(), 0
    while True:
        await asyncio.sleep(PLAIN_EVERY)
        now = time.monotonic()
        rate = (tally.requests - last) / (now - before)
        before, last = now, tally.requests
        show.say(f"rows {tally.ok + tally.failed:,} of {tally.planned:,} · {_note(tally, rate)}")


def _rate(seen: list[tuple[float, int]]) -> float:
    (first, start), (last, end) = seen[0], seen[-1]
    return (end - start) / (last - first) if last > first else 0.0


def _note(tally: Tally, rate: float) -> str:
    tokens = tally.prompt_tokens + tally.completion_tokens
    return f"{rate:,.1f} requests/s · {tokens:,} tokens · {tally.failed:,} failed"
