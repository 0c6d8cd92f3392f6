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
    control = maker.asker.control
    at_work = asyncio.Semaphore(concurrency * ROWS_PER_SLOT)
    alive: deque[tuple[_OpenShard, asyncio.Task[Row | Failure]]] = deque()
    opened: list[_OpenShard] = []
    summaries: list[ShardSummary] = []

    async def make(task: RowTask, shard: _OpenShard) -> Row | Failure:
        async with at_work:
            return await maker.make(task, shard.journal)

    async def emit() -> None:
        shard, task = alive[0]
        made = await task
        alive.popleft()
        shard.add(made)
        control.tally.count_row(made)
        if shard.complete:
            opened.remove(shard)
            summaries.append(shard.finish())

    try:
        for shard, tasks in _start_shards(maker, folder, wanted, opened):
            for task in tasks:
                while len(alive) >= concurrency * WINDOW_PER_SLOT or (alive and alive[0][1].done()):
                    await emit()
                alive.append((shard, asyncio.create_task(make(task, shard))))
        while alive:
            await emit()
    except BaseException as error:  # noqa: BLE001 - the one broad catch; it raises again
        control.stop(error if isinstance(error, Exception) else None)
        await _wind_up([task for _, task in alive], at_once=isinstance(error, asyncio.CancelledError))
        raise control.reason from (None if error is control.reason else error)
    finally:
        for shard in opened:
            shard.resources.close()
    return summaries


def _start_shards(
    maker: RowMaker, folder: RunFolder, wanted: list[tuple[Shard, str]], opened: list[_OpenShard]
) -> Iterator[tuple[_OpenShard, Iterator[RowTask]]]:
    fingerprints = {shard.index: fingerprint for shard, fingerprint in wanted}
    for shard, instructions in maker.plan.read_shards([shard for shard, _ in wanted]):
        started = _open_shard(folder, shard, fingerprints[shard.index], maker.plan.rows_in(shard))
        opened.append(started)
        yield started, (task for instruction in instructions for task in maker.plan.tasks_of(instruction))


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
