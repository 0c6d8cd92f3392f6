"""Going through the rows of a run without asking, to find out what a start of it would ask.

Example:
    forecast = foresee(outline_run(plan, RunFolder(Path("run")), names))
    forecast.stages["response"].to_ask, forecast.open

A row is made from the journals. Where a reply is missing, it goes on with a stand-in: a later stage whose
prompt does not depend on that reply has its own in the journal still.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from multifaceted.ask.channel import Channel, MissingReply, NoReplyError
from multifaceted.batch.folder import BatchFolder
from multifaceted.errors import InputError, StorageError
from multifaceted.generation.forecast import Forecast, JournalAsker, StageForecast
from multifaceted.generation.prepare import Prepared
from multifaceted.generation.row import RowMaker
from multifaceted.generation.work import ShardWork, find_work
from multifaceted.journal import open_to_read
from multifaceted.planning.cost import LOOKED_AT, count_parts
from multifaceted.records import Instruction, Request, RowTask
from multifaceted.store.moved_replies import MovedReplies
from multifaceted.store.read_journal import ReadJournal
from multifaceted.store.run_folder import RunFolder


def foresee(prepared: Prepared) -> Forecast:
    """Find out what making a run would ask now. Nothing is sent, written or locked, and it may be at work."""
    return asyncio.run(_Forecaster(prepared).run())


class _Steps(NamedTuple):
    """Of a large run every so many instructions are looked at."""

    open: int = 1  # of shards that are to be made
    settled: int = 1  # of those that are finished


class _Forecaster:
    def __init__(self, prepared: Prepared) -> None:
        plan, folder = prepared.plan, prepared.folder
        self.plan, self.folder, self.expected = plan, folder, prepared.expected
        self.stages = {stage.name: stage for stage in plan.stages}
        self.maker = RowMaker(plan, prepared.names)
        self.moved = MovedReplies(folder)
        self.forecast = Forecast(plan.rows, {stage.name: StageForecast() for stage in plan.stages})
        self.looker = JournalAsker(self.forecast.stages, _read_under_way(folder))
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
        self, instructions: list[Instruction], work: ShardWork | None
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
        """Return the rows that ever asked anything."""
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
                missing, failed = await self._go_through(task, channel)
                if missing and is_wanted(task.id):
                    self.forecast.open += self.looker.weight
                    self._count_missing(task, missing)
                elif missing or failed:  # without a reply, it failed for good
                    self.forecast.failed += self.looker.weight
                else:
                    self.forecast.ok += self.looker.weight

    async def _go_through(self, task: RowTask, channel: Channel) -> tuple[dict[str, Sequence[Request]], bool]:
        """The requests of a row that have no reply, by stage; and whether a reply that is there fails it."""
        draft, missing = self.plan.prompts.draft(task), dict[str, Sequence[Request]]()
        for stage in self.plan.stages:
            try:
                await self.maker.ask_stage(stage, draft, channel)
                continue
            except MissingReply as fault:
                missing[stage.name] = fault.requests
            except NoReplyError:
                return missing, True
            except InputError:
                if not missing:
                    return missing, True
                missing[stage.name] = ()  # of a stand-in: what it asks about the reply itself is not known
            draft.add(stage, stage.imagine(draft))
        return missing, False

    def _count_missing(self, task: RowTask, missing: Mapping[str, Sequence[Request]]) -> None:
        (_, requests), *later = missing.items()
        for request in requests:
            if request.key not in self.looker.missed:
                self.looker.missed.add(request.key)
                self._count_request(task, request, self.looker.weight)
        for name, following in later:
            stage, weight = self.forecast.stages[name], self.looker.weight
            under_way = sum(request.key in self.looker.under_way for request in following)
            count = (len(following) or count_parts(self.plan, self.stages[name])) - under_way
            stage.under_way += weight * under_way
            stage.following += weight * count
            self._note(name, task, weight * count)

    def _count_request(self, task: RowTask, request: Request, weight: float) -> None:
        stage = self.forecast.stages[request.label]
        if request.key in self.looker.under_way:
            stage.under_way += weight
            return
        stage.missing += weight
        self._note(request.label, task, weight)
        if not self.looker.is_repair(request):
            stage.first_missing += weight

    def _note(self, stage: str, task: RowTask, requests: float) -> None:
        rows = self.asked[stage]
        if requests:
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


def _tell_wanted(work: ShardWork | None) -> Callable[[str], bool]:
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
