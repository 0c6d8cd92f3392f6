"""What a start of a run would ask, found out by going through its rows without asking.

Example:
    forecast = foresee(outline_run(plan, RunFolder(Path("run")), names))
    forecast.stages["response"].to_ask, forecast.open

A row is made from the journals as far as they go. The request at which it stops is missing; those of later
stages depend on its reply, so they are only counted.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from multifaceted.ask.asker import find_reply
from multifaceted.ask.channel import Channel, MissingReply
from multifaceted.ask.control import RunControl
from multifaceted.batch.folder import BatchFolder
from multifaceted.errors import StorageError
from multifaceted.generate.prepare import Prepared
from multifaceted.generate.row import RowMaker
from multifaceted.generate.work import Work, find_work
from multifaceted.journal import Journal, open_to_read
from multifaceted.plan.cost import LOOKED_AT, count_parts
from multifaceted.records import Instruction, Message, Reply, Request, Row, RowTask
from multifaceted.store.moved_replies import MovedReplies
from multifaceted.store.read_journal import ReadJournal
from multifaceted.store.run_folder import RunFolder


@dataclass(slots=True)
class StageForecast:
    """Requests of one stage. Where rows were left out, they count for all rows."""

    answered: float = 0  # their replies are in the journals
    under_way: float = 0  # in batches that were submitted
    missing: float = 0  # to ask, as they are known now
    first_missing: float = 0  # the same without repair turns
    following: float = 0  # to ask after those, one for each reply that is not there yet
    repairs: float = 0  # expected beside them, by how many replies did not validate so far
    again: float = 0  # of those to ask, the ones of rows that had another reply in this stage before
    # Of the replies that were looked at, to reckon with
    replies: int = 0
    first_replies: int = 0  # repair turns left out
    counted: int = 0  # those whose tokens the endpoint told
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def to_ask(self) -> int:
        """Requests that running now would send."""
        return round(self.missing + self.following + self.repairs)

    @property
    def in_all(self) -> int:
        """Requests of the whole run."""
        return round(self.answered + self.under_way) + self.to_ask


@dataclass
class Forecast:
    """What is there of a run, and what running now would ask. Planned = ok + failed + open."""

    planned: int
    stages: dict[str, StageForecast]
    ok: float = 0  # rows that need nothing more
    failed: float = 0  # rows that failed, and would not be asked again
    open: float = 0  # rows to make
    looked_at: int = 0  # rows that were gone through


@dataclass
class _Looker:
    """Answers from a journal; remembers what was found there for one row after the other."""

    stages: dict[str, StageForecast]
    under_way: frozenset[str]
    weight: float = 1.0
    found: set[str] = field(default_factory=set)  # keys in this shard: equal requests count once
    missed: set[str] = field(default_factory=set)
    control: RunControl = field(default_factory=RunControl)
    capacity: int = 1
    _asked: list[tuple[str, tuple[Message, ...]]] = field(default_factory=list)

    def begin_row(self) -> None:
        """Forget what the last row asked."""
        self._asked.clear()

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """The reply in the journal.

        Raises:
            MissingReply: where there is none.
        """
        is_repair = self.is_repair(request)
        self._asked.append((request.label, request.messages))
        reply = find_reply(request, journal)
        if reply is None:
            raise MissingReply([request])
        stage = self.stages[request.label]
        if request.key not in self.found:
            self.found.add(request.key)
            stage.answered += self.weight
            stage.replies += 1
            stage.first_replies += not is_repair
            stage.counted += reply.is_counted
            stage.prompt_tokens += reply.prompt_tokens
            stage.completion_tokens += reply.completion_tokens
        return reply

    def is_repair(self, request: Request) -> bool:
        """Whether it goes on from a request of this row whose reply did not validate."""
        turns = request.messages
        return any(
            label == request.label and len(turns) > len(before) and turns[: len(before)] == before
            for label, before in self._asked
        )


def foresee(prepared: Prepared) -> Forecast:
    """Find out what making a run would ask now. Nothing is sent, written or locked, and it may be at work."""
    return asyncio.run(_Forecaster(prepared).run())


class _Steps(NamedTuple):
    """Of a large run every so many instructions are looked at."""

    open: int = 1  # of shards that are to be made
    settled: int = 1  # of those that are whole


class _Forecaster:
    def __init__(self, prepared: Prepared) -> None:
        plan, folder = prepared.plan, prepared.folder
        self.plan, self.folder, self.expected = plan, folder, prepared.expected
        self.maker = RowMaker(plan, prepared.names)
        self.moved = MovedReplies(folder)
        self.forecast = Forecast(plan.rows, {stage.name: StageForecast() for stage in plan.stages})
        self.looker = _Looker(self.forecast.stages, _read_under_way(folder))
        self.steps, self.known = _Steps(), set[str]()
        # Of rows that stop: by stage, the requests of each row
        self.asked: dict[str, dict[str, float]] = {stage.name: {} for stage in plan.stages}

    async def run(self) -> Forecast:
        """Go through the rows, shard by shard."""
        plan, found = self.plan, {}
        for shard in plan.shards:
            found[shard] = find_work(self.folder, shard, self.expected[shard], models=plan.models)
        if plan.rows > LOOKED_AT:
            to_make = sum(plan.rows_in(shard) for shard, work in found.items() if work is not None)
            self.steps = _Steps(-(-to_make // LOOKED_AT) or 1, -(-plan.rows * 10 // LOOKED_AT))
            self.known = self._read_known()
        for shard, instructions in plan.read_shards(list(plan.shards)):
            self.looker.found.clear()
            self.looker.missed.clear()
            work = found[shard]
            with ReadJournal(self.folder.journal_file(shard.name), others=self.moved) as journal:
                for portion, step in self._portion(instructions, work):
                    await self._look_at(portion, step, _tell_wanted(work), Channel(self.looker, journal))
        self._count_repairs()
        self._count_again()
        return self.forecast

    def _portion(
        self, instructions: list[Instruction], work: Work | None
    ) -> Iterator[tuple[list[Instruction], int]]:
        """Instructions that have the same in store, and which part of them is looked at: every so many."""
        if self.steps == _Steps():
            yield instructions, 1
        elif work is None:
            yield instructions, self.steps.settled
        elif work.rows is not None:
            again = [i for i in instructions if not work.rows.isdisjoint(self._list_ids(i))]
            yield again, 1
            ids = {instruction.id for instruction in again}
            yield [i for i in instructions if i.id not in ids], self.steps.settled
        else:
            known = [i for i in instructions if not self.known.isdisjoint(self._list_ids(i))]
            yield known, self.steps.open
            new = len(instructions) - len(known)  # never asked before, so nothing has to be looked up
            self._count_new(new * self.plan.recipe.variants)

    def _list_ids(self, instruction: Instruction) -> list[str]:
        return [f"{instruction.id}-v{variant}" for variant in range(1, self.plan.recipe.variants + 1)]

    def _read_known(self) -> set[str]:
        """The rows that ever asked anything."""
        known = set[str]()
        for file in self.folder.list_journals():
            with open_to_read(file) as connection:
                rows = connection.execute("SELECT DISTINCT row_id FROM replies") if connection else ()
                known.update(row_id for (row_id,) in rows)
        return known

    def _count_new(self, rows: int) -> None:
        self.forecast.open += rows
        for number, stage in enumerate(self.plan.stages):
            found, requests = self.forecast.stages[stage.name], rows * count_parts(self.plan, stage)
            if number == 0:
                found.missing += requests
                found.first_missing += requests
            else:
                found.following += requests

    async def _look_at(
        self,
        instructions: list[Instruction],
        step: int,
        is_wanted: Callable[[str], bool],
        channel: Channel,
    ) -> None:
        chosen = instructions[step // 2 :: step] or instructions[:1]
        if chosen:
            self.looker.weight = len(instructions) / len(chosen)
        for instruction in chosen:
            for task in self.plan.tasks_of(instruction):
                self.looker.begin_row()
                self.forecast.looked_at += 1
                try:
                    made = await self.maker.make(task, channel)
                except MissingReply as missing:
                    if is_wanted(task.id):
                        self._count_missing(task, missing.requests)
                    else:  # it failed without a reply, for good
                        self.forecast.failed += self.looker.weight
                    continue
                if isinstance(made, Row):
                    self.forecast.ok += self.looker.weight
                else:
                    self.forecast.failed += self.looker.weight

    def _count_missing(self, task: RowTask, requests: Sequence[Request]) -> None:
        weight, names = self.looker.weight, [stage.name for stage in self.plan.stages]
        self.forecast.open += weight
        stopped = requests[0].label
        stage = self.forecast.stages[stopped]
        for request in requests:
            if request.key in self.looker.missed:
                continue
            self.looker.missed.add(request.key)
            if request.key in self.looker.under_way:
                stage.under_way += weight
                continue
            stage.missing += weight
            self._note(stopped, task, weight)
            if not self.looker.is_repair(request):
                stage.first_missing += weight
        for later in self.plan.stages[names.index(stopped) + 1 :]:
            count = weight * count_parts(self.plan, later)
            self.forecast.stages[later.name].following += count
            self._note(later.name, task, count)

    def _note(self, stage: str, task: RowTask, requests: float) -> None:
        rows = self.asked[stage]
        rows[task.id] = rows.get(task.id, 0.0) + requests

    def _count_repairs(self) -> None:
        """Expect repair turns of what is still to ask as often as replies to this very plan needed them."""
        for stage in self.forecast.stages.values():
            if stage.first_replies:
                share = (stage.replies - stage.first_replies) / stage.first_replies
                stage.repairs = share * (stage.first_missing + stage.following)

    def _count_again(self) -> None:
        """Count what is asked of rows that had another reply in the same stage, under a former recipe."""
        for file in self.folder.list_journals():
            with open_to_read(file) as connection:
                if connection is None:
                    continue
                query = "SELECT DISTINCT stage, row_id FROM replies WHERE mode <> 'copied'"
                for stage, row_id in connection.execute(query):
                    requests = self.asked.get(stage, {}).pop(row_id, 0.0)
                    if requests:
                        self.forecast.stages[stage].again += requests


def _tell_wanted(work: Work | None) -> Callable[[str], bool]:
    if work is None:
        return lambda _: False
    rows = work.rows
    return lambda row_id: rows is None or row_id in rows


def _read_under_way(folder: RunFolder) -> frozenset[str]:
    """Keys of the requests in batches that the endpoint has."""
    batches, keys = BatchFolder(folder.path), set[str]()
    for record in batches.read_records():
        if record.at_work:
            try:
                keys.update(entry.key for entry in batches.read_index(record.number).values())
            except StorageError:
                continue  # harvested a moment ago, by the process that looks after it
    return frozenset(keys)
