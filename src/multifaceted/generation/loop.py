"""All rows of a run: shards open and close in order, and only so many rows are alive.

A shard's journal opens when its first row starts and closes when its last row is written; the next shard's
rows are under way by then, so the end of a shard leaves no place at an endpoint idle.
"""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeAlias

from multifaceted.ask.asker import Asks
from multifaceted.ask.channel import Channel
from multifaceted.ask.line import Job, Line, Settled
from multifaceted.batch import Group
from multifaceted.errors import LimitReachedError
from multifaceted.generation.open_shard import OpenShard, open_shard, show_rows
from multifaceted.generation.row import RowMaker
from multifaceted.generation.work import ShardWork
from multifaceted.records import Failure, Row, RowTask
from multifaceted.store.moved_replies import MovedReplies
from multifaceted.store.open_rows import OpenRowsWriter
from multifaceted.store.run_folder import RunFolder

RowJob: TypeAlias = Callable[[Channel], Coroutine[Any, Any, Row | Failure]]
MAX_OPEN_SHARDS = 16  # each holds a thread and some file handles, of which a process has about 1,000
SHARE_COUNTS_FROM = 100  # finished rows, before a share of failures means anything


@dataclass(frozen=True)
class RowsToMake:
    """The rows that a run still has to make: what it asks live, or by batch."""

    maker: RowMaker
    folder: RunFolder  # where shards and journals lie
    wanted: list[ShardWork]  # in order

    @property
    def path(self) -> Path:
        """Return the run folder."""
        return self.folder.path

    def groups(self) -> Iterator[Group[Row | Failure]]:
        """Yield the shards, each with a job for each row that is to be made."""
        for work, tasks in self.read():
            yield Group(work.shard.name, self._list_jobs(work, tasks), self.moved)

    def _list_jobs(self, work: ShardWork, tasks: Iterator[RowTask]) -> Iterator[RowJob]:
        plan = self.maker.plan
        planned = plan.rows_in(work.shard)
        with show_rows(self.folder, work, planned=planned, model=plan.row_type) as shown:
            for position, task in enumerate(tasks):
                if work.rows is None or task.id in work.rows:
                    yield partial(self.make, task, position, shown)

    async def make(
        self, task: RowTask, position: int, shown: OpenRowsWriter, channel: Channel
    ) -> Row | Failure:
        """Make one row, and let readers see it at once: its turn in the shard may come much later."""
        made = await self.maker.make(task, channel)
        shown.note(position, made)
        return made

    def read(self) -> Iterator[tuple[ShardWork, Iterator[RowTask]]]:
        """Yield the shards, each with all of its rows; no more than one is held."""
        plan, work_on = self.maker.plan, {work.shard.index: work for work in self.wanted}
        for shard, instructions in plan.read_shards([work.shard for work in self.wanted]):
            yield (
                work_on[shard.index],
                (task for instruction in instructions for task in plan.tasks_of(instruction)),
            )

    def journal_file(self, name: str) -> Path:
        """Return the journal of a shard."""
        return self.folder.journal_file(name)

    @cached_property
    def moved(self) -> MovedReplies:
        """Return what lies in the journals of other shards."""
        return MovedReplies(self.folder)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a shard."""
        return self.folder.lock(name)


@dataclass
class _OpenShards:
    """The shards whose rows are under way."""

    rows: RowsToMake
    asks: Asks
    opened: list[OpenShard] = field(default_factory=list)

    def open(self, work: ShardWork) -> OpenShard:
        """Open the next shard."""
        plan = self.rows.maker.plan
        planned, others = plan.rows_in(work.shard), self.rows.moved
        shard = open_shard(self.rows.folder, work, planned=planned, model=plan.row_type, others=others)
        self.opened.append(shard)
        return shard

    def list_jobs(
        self, shard: OpenShard, tasks: Iterator[RowTask]
    ) -> Iterator[Job[Row | Failure] | Settled[Row | Failure]]:
        """Yield a job for each row: to make it, or to keep it as it is on disk."""
        channel = Channel(self.asks, shard.journal)
        for position, task in enumerate(tasks):
            if shard.is_wanted(task.id):
                yield partial(self.rows.make, task, position, shard.shown, channel)
            else:
                yield Settled(partial(shard.take_kept, task.id))

    def take(self, shard: OpenShard, made: Row | Failure) -> None:
        """Write a finished row, and close its shard if it was the last one."""
        shard.add(made)
        self.asks.control.tally.count_row(made)
        if shard.complete:
            self.opened.remove(shard)
            shard.finish()
        if isinstance(made, Failure):
            self._check_failures()

    def _check_failures(self) -> None:
        bound, tally = self.rows.maker.plan.recipe.stop_after_failures, self.asks.control.tally
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


async def generate_shards(rows: RowsToMake, asks: Asks) -> None:
    """Make every row of the wanted shards.

    Raises:
        MultifacetedError: what stopped the run; every reply that came in is journaled.
    """
    shards = _OpenShards(rows, asks)
    line = Line[Row | Failure](asks.control, capacity=asks.capacity)
    try:
        async with line.winding_up():
            for work, tasks in rows.read():
                shard = shards.open(work)
                await line.feed(shards.list_jobs(shard, tasks), partial(shards.take, shard))
                while len(shards.opened) >= MAX_OPEN_SHARDS:
                    await line.emit()
            await line.finish()
    finally:
        for left in shards.opened:
            left.abandon()
