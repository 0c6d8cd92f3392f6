"""The bounded loop over all rows: rows start and end in order, and only so many are alive.

A shard's journal opens when its first row starts and closes when its last row is written; the next shard's
rows are under way by then, so the end of a shard leaves no place at an endpoint idle.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from multifaceted.errors import LimitReachedError
from multifaceted.generate.open_shard import OpenShard, open_shard
from multifaceted.generate.row import RowMaker
from multifaceted.generate.work import Work
from multifaceted.records import Failure, Row, RowTask
from multifaceted.store.run_folder import RunFolder, ShardSummary

# Rows at work for each request in flight: more than one, so that no place idles while a reply is read.
ROWS_PER_REQUEST = 2
# Rows alive for each request in flight: those that are done wait for a slow one before them, up to this many.
WINDOW_PER_REQUEST = 16
MAX_WINDOW = 6000  # rows alive in all, for they take memory
MAX_OPEN_SHARDS = 16  # each holds a thread and some file handles, of which a process has about 1,000
SHARE_COUNTS_FROM = 100  # finished rows, before a share of failures means anything

# A row that is being made, one that failed before and stays so, or None: one that stays as it is on disk.
_Making = asyncio.Task[Row | Failure] | Failure | None


@dataclass
class _Line:
    """Rows under way, in order, and the open shards they go to."""

    maker: RowMaker
    alive: deque[tuple[OpenShard, _Making]] = field(default_factory=deque)
    opened: list[OpenShard] = field(default_factory=list)
    summaries: list[ShardSummary] = field(default_factory=list)

    def __post_init__(self) -> None:
        capacity = self.maker.asker.capacity
        self._window = min(capacity * WINDOW_PER_REQUEST, max(MAX_WINDOW, capacity * ROWS_PER_REQUEST))
        self._at_work = asyncio.Semaphore(capacity * ROWS_PER_REQUEST)
        self._making = 0

    async def feed(self, shard: OpenShard, tasks: Iterator[RowTask]) -> None:
        """Start the rows of a shard, as room comes."""
        self.opened.append(shard)
        for task in tasks:
            while self._making >= self._window or self._first_is_done():
                await self.emit()
            self.alive.append((shard, self._start(shard, task)))
        while len(self.opened) >= MAX_OPEN_SHARDS:
            await self.emit()

    async def emit(self) -> None:
        """Take the first row off the line, and close its shard if it was the last one."""
        shard, making = self.alive[0]
        if isinstance(making, asyncio.Task):
            made = await making
            self._making -= 1
        else:
            made = making or shard.take_kept()
        self.alive.popleft()
        shard.add(made)
        self.maker.asker.control.tally.count_row(made)
        if shard.complete:
            self.opened.remove(shard)
            self.summaries.append(shard.finish())
        if isinstance(made, Failure):
            self._check_failures()

    def _first_is_done(self) -> bool:
        first = self.alive[0][1] if self.alive else None
        return bool(self.alive) and (not isinstance(first, asyncio.Task) or first.done())

    def _start(self, shard: OpenShard, task: RowTask) -> _Making:
        if not shard.is_wanted(task.id):
            return shard.kept_failures.get(task.id)
        self._making += 1
        return asyncio.create_task(self._make(task, shard))

    async def _make(self, task: RowTask, shard: OpenShard) -> Row | Failure:
        async with self._at_work:
            return await self.maker.make(task, shard.journal)

    def _check_failures(self) -> None:
        bound, tally = self.maker.plan.recipe.stop_after_failures, self.maker.asker.control.tally
        if bound is None:
            return
        is_share = isinstance(bound, float)
        allowed = bound * max(tally.done, SHARE_COUNTS_FROM) if is_share else bound
        if tally.failed <= allowed:
            return
        kinds = ", ".join(f"{kind} {rows:,}" for kind, rows in sorted(tally.failures.items()))
        raise LimitReachedError(
            f"{tally.failed:,} of {tally.done:,} finished rows failed ({kinds}), which is more than "
            f"stop_after_failures: {bound} allows",
            hint="look at them with `multifaceted failures`; then mend the cause, or raise the bound in the "
            "recipe, and run again: it goes on from here",
        )


async def generate_shards(maker: RowMaker, folder: RunFolder, wanted: list[Work]) -> list[ShardSummary]:
    """Make every row of the wanted shards.

    Args:
        maker: makes one row.
        folder: where shards and journals lie.
        wanted: in order.

    Raises:
        MultifacetedError: what stopped the run; every reply that came in is journaled.
    """
    control, plan = maker.asker.control, maker.plan
    work_on = {work.shard.index: work for work in wanted}
    line = _Line(maker)
    try:
        for shard, instructions in plan.read_shards([work.shard for work in wanted]):
            tasks = (task for instruction in instructions for task in plan.tasks_of(instruction))
            planned = plan.rows_in(shard)
            opened = open_shard(folder, work_on[shard.index], planned=planned, model=plan.kind.row)
            await line.feed(opened, tasks)
        while line.alive:
            await line.emit()
    except BaseException as error:  # noqa: BLE001 - the one broad catch; it raises again
        control.stop(error if isinstance(error, Exception) else None)
        tasks_left = [made for _, made in line.alive if isinstance(made, asyncio.Task)]
        await _wind_up(tasks_left, at_once=isinstance(error, asyncio.CancelledError))
        raise control.reason from (None if error is control.reason else error)
    finally:
        for left in line.opened:
            left.abandon()
    return line.summaries


async def _wind_up(tasks: list[asyncio.Task[Row | Failure]], *, at_once: bool) -> None:
    """Let what is in flight come in and be journaled, for it is paid for; or give it up at once.

    A cancellation while it waits, such as a second interrupt, gives up too.
    """
    if at_once:
        for task in tasks:
            task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)  # cancelled, it cancels the tasks
    await asyncio.gather(*tasks, return_exceptions=True)
