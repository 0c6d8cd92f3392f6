"""The bounded loop over all rows: rows start and end in order, and only so many are alive.

A shard's journal opens when its first row starts and closes when its last row is written; the next shard's
rows are under way by then, so the end of a shard leaves no request slot idle.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from multifaceted.generate.row import RowMaker
from multifaceted.ids import hash_file
from multifaceted.journal import Journal
from multifaceted.plan import Shard
from multifaceted.records import Failure, Row, RowTask
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.shards import ShardWriter

# Rows at work for each request slot: more than one, so that a slot does not idle while a reply is read.
ROWS_PER_SLOT = 2
# Rows alive for each request slot: those that are done wait for a slow one before them, up to this many.
WINDOW_PER_SLOT = 16
MAX_OPEN_SHARDS = 16  # each holds a thread and some file handles, of which a process has about 1,000


@dataclass
class _OpenShard:
    """A shard at work: locked, its journal open, its rows on their way into a file."""

    folder: RunFolder
    name: str
    fingerprint: str
    planned: int
    journal: Journal
    writer: ShardWriter
    resources: ExitStack
    failures: list[Failure] = field(default_factory=list)

    def add(self, made: Row | Failure) -> None:
        if isinstance(made, Row):
            self.writer.add(made)
        else:
            self.failures.append(made)

    @property
    def complete(self) -> bool:
        return self.writer.rows + len(self.failures) == self.planned

    def finish(self) -> ShardSummary:
        """Write what the shard came to, the mark last, and let it go."""
        with self.resources:
            self.folder.reopen(self.name)
            self.writer.commit()
            self.folder.write_failures(self.name, self.failures)
            summary = ShardSummary(
                name=self.name,
                fingerprint=self.fingerprint,
                planned=self.planned,
                ok=self.writer.rows,
                failed=len(self.failures),
                retryable=sum(failure.retryable for failure in self.failures),
                failures=dict(sorted(Counter(failure.kind for failure in self.failures).items())),
                sha256=hash_file(self.folder.rows_file(self.name)),
            )
            self.folder.finish(summary)
        return summary


def _open_shard(folder: RunFolder, shard: Shard, fingerprint: str, planned: int) -> _OpenShard:
    with ExitStack() as stack:
        stack.enter_context(folder.lock(shard.name))
        journal = stack.enter_context(Journal(folder.journal_file(shard.name)))
        writer = stack.enter_context(ShardWriter(folder.rows_file(shard.name), Row))
        return _OpenShard(folder, shard.name, fingerprint, planned, journal, writer, stack.pop_all())


@dataclass
class _Line:
    """Rows under way, in order, and the open shards they go to."""

    maker: RowMaker
    concurrency: int
    alive: deque[tuple[_OpenShard, asyncio.Task[Row | Failure]]] = field(default_factory=deque)
    opened: list[_OpenShard] = field(default_factory=list)
    summaries: list[ShardSummary] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._at_work = asyncio.Semaphore(self.concurrency * ROWS_PER_SLOT)

    async def feed(self, shard: _OpenShard, tasks: Iterator[RowTask]) -> None:
        """Start the rows of a shard, as room comes."""
        self.opened.append(shard)
        for task in tasks:
            while len(self.alive) >= self.concurrency * WINDOW_PER_SLOT or self._first_is_done():
                await self.emit()
            self.alive.append((shard, asyncio.create_task(self._make(task, shard))))
        while len(self.opened) >= MAX_OPEN_SHARDS:
            await self.emit()

    async def emit(self) -> None:
        """Take the first row off the line, and close its shard if it was the last one."""
        shard, task = self.alive[0]
        made = await task
        self.alive.popleft()
        shard.add(made)
        self.maker.asker.control.tally.count_row(made)
        if shard.complete:
            self.opened.remove(shard)
            self.summaries.append(shard.finish())

    def _first_is_done(self) -> bool:
        return bool(self.alive) and self.alive[0][1].done()

    async def _make(self, task: RowTask, shard: _OpenShard) -> Row | Failure:
        async with self._at_work:
            return await self.maker.make(task, shard.journal)


async def generate_shards(
    maker: RowMaker, folder: RunFolder, wanted: list[tuple[Shard, str]], *, concurrency: int
) -> list[ShardSummary]:
    """Make every row of the wanted shards.

    Args:
        maker: makes one row.
        folder: where shards and journals lie.
        wanted: shards in order, each with the fingerprint it will carry.
        concurrency: requests in flight at most.

    Raises:
        MultifacetedError: what stopped the run; every reply that came in is journaled.
    """
    control, plan = maker.asker.control, maker.plan
    fingerprints = {shard.index: fingerprint for shard, fingerprint in wanted}
    line = _Line(maker, concurrency)
    try:
        for shard, instructions in plan.read_shards([shard for shard, _ in wanted]):
            tasks = (task for instruction in instructions for task in plan.tasks_of(instruction))
            opened = _open_shard(folder, shard, fingerprints[shard.index], plan.rows_in(shard))
            await line.feed(opened, tasks)
        while line.alive:
            await line.emit()
    except BaseException as error:  # noqa: BLE001 - the one broad catch; it raises again
        control.stop(error if isinstance(error, Exception) else None)
        await _wind_up([task for _, task in line.alive], at_once=isinstance(error, asyncio.CancelledError))
        raise control.reason from (None if error is control.reason else error)
    finally:
        for left in line.opened:
            left.resources.close()
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
