"""What one sees of a long run: `async with watch(control): ...`.

On a terminal two lines that renew themselves, in a notebook one, elsewhere a plain line every half minute; or
snapshots for a function of the caller's.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from multifaceted.ask.control import RunControl
from multifaceted.terminal import show

REFRESH = 0.5  # seconds, on a terminal
PLAIN_EVERY = 30.0  # seconds, without one
CALL_EVERY = 5.0  # seconds, of a function of the caller's
RATE_OVER = 30.0  # seconds over which rates are taken


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment. Rates are per second; what is not known yet is None."""

    planned: int
    ok: int
    failed: int
    failures: dict[str, int]
    requests: int
    requests_per_second: float
    rows_per_second: float
    in_flight: int
    limits: dict[str, str]  # endpoint → the limit in force and why
    retries: dict[str, int]
    tokens: int
    usd: float
    usd_projected: float | None
    seconds_left: float | None


class Watcher:
    """Takes snapshots of a run, with rates over the last half minute."""

    def __init__(self, control: RunControl) -> None:
        self._control = control
        self._seen: deque[tuple[float, int, int]] = deque()

    def look(self) -> Snapshot:
        """Return a snapshot of now."""
        tally, now = self._control.tally, time.monotonic()
        self._seen.append((now, tally.requests, tally.done))
        while len(self._seen) > 2 and now - self._seen[0][0] > RATE_OVER:  # noqa: PLR2004 - two make a rate
            self._seen.popleft()
        then, requests, rows = self._seen[0]
        passed = max(now - then, 1e-9)
        row_rate = (tally.done - rows) / passed
        return Snapshot(
            planned=tally.planned,
            ok=tally.ok,
            failed=tally.failed,
            failures=dict(tally.failures),
            requests=tally.requests,
            requests_per_second=(tally.requests - requests) / passed,
            rows_per_second=row_rate,
            in_flight=sum(endpoint.in_flight for endpoint in self._control.endpoints),
            limits={endpoint.label: endpoint.describe() for endpoint in self._control.endpoints},
            retries=dict(tally.retries),
            tokens=tally.prompt_tokens + tally.completion_tokens,
            usd=tally.usd,
            usd_projected=tally.usd / tally.done * tally.planned if tally.usd and tally.done else None,
            seconds_left=(tally.planned - tally.done) / row_rate if row_rate else None,
        )


Progress: TypeAlias = bool | Callable[[Snapshot], None]


@asynccontextmanager
async def watch(control: RunControl, progress: Progress | None = None) -> AsyncIterator[None]:
    """Show a run for as long as the block lasts.

    Args:
        control: of the run.
        progress: False shows nothing; a function gets a snapshot every few seconds.
    """
    if progress is False:
        yield
        return
    task = asyncio.create_task(_choose(progress)(Watcher(control)))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _choose(progress: Progress | None) -> Callable[[Watcher], Coroutine[Any, Any, None]]:
    if callable(progress):
        return partial(_call, progress)
    if show.is_notebook():  # first: it says that it is a terminal, and cannot move a cursor
        return _write_over
    return _draw if show.err.is_terminal else _print_lines


async def _draw(watcher: Watcher) -> None:
    with Live(_render(watcher.look()), console=show.err, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(REFRESH)
                live.update(_render(watcher.look()), refresh=True)
        finally:
            live.update(_render(watcher.look()), refresh=True)


async def _print_lines(watcher: Watcher) -> None:
    watcher.look()
    while True:
        await asyncio.sleep(PLAIN_EVERY)
        show.say(" · ".join(describe(watcher.look())))


async def _write_over(watcher: Watcher) -> None:
    """One line that is written over, which is all that a notebook's output can do."""
    longest = 0
    try:
        while True:
            line = " · ".join(describe(watcher.look()))
            longest = max(longest, len(line))
            sys.stderr.write(f"\r{show.plain(line):<{longest}}")
            sys.stderr.flush()
            await asyncio.sleep(1.0)
    finally:
        line = " · ".join(describe(watcher.look()))
        sys.stderr.write(f"\r{show.plain(line):<{longest}}\n")
        sys.stderr.flush()


async def _call(tell: Callable[[Snapshot], None], watcher: Watcher) -> None:
    while True:
        tell(watcher.look())
        await asyncio.sleep(CALL_EVERY)


def _render(seen: Snapshot) -> Group:
    rows, *others = describe(seen)
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=max(seen.planned, 1), completed=seen.ok + seen.failed, width=30)
    head.add_row(bar, rows)
    return Group(head, Text(" · ".join(others), style="dim"))


def describe(seen: Snapshot) -> list[str]:
    """Return a snapshot in words, the rows first."""
    failed = ", ".join(f"{kind} {rows:,}" for kind, rows in sorted(seen.failures.items()))
    again = ", ".join(f"{kind} {count:,}" for kind, count in sorted(seen.retries.items()))
    limits = seen.limits if len(seen.limits) > 1 else dict.fromkeys(("",), *seen.limits.values())
    shown = [f"{label} {limit}".strip() for label, limit in limits.items() if limit]
    projected = f" of about {seen.usd_projected:,.2f}" if seen.usd_projected else ""
    parts = [
        f"rows {seen.ok + seen.failed:,} of {seen.planned:,}",
        f"{seen.rows_per_second:,.1f} rows/s, {seen.requests_per_second:,.1f} requests/s",
        f"{seen.in_flight:,} in flight, limit {'; '.join(shown)}" if shown else "",
        f"{seen.tokens:,} tokens",
        f"{seen.usd:,.2f} USD{projected}" if seen.usd else "",
        f"{seen.failed:,} failed" + (f" ({failed})" if failed else ""),
        f"retries: {again}" if again else "",
        f"{show.duration(seen.seconds_left)} left" if seen.seconds_left is not None else "",
    ]
    return [part for part in parts if part]
