"""What the rows of a run need next, written into the input files of batches.

Example:
    needs = await Collector(maker, folder, batches, usage, spec).collect(wanted)
    needs.missing, needs.records
"""

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from multifaceted.chat.wire import WireForm
from multifaceted.generate.ask import vary_seed
from multifaceted.generate.queue_room import QueueRoom
from multifaceted.generate.row import MissingReply, RowMaker
from multifaceted.generate.usage import Usage
from multifaceted.generate.work import Work
from multifaceted.ids import content_id
from multifaceted.journal import Journal
from multifaceted.plan import LiveModel
from multifaceted.plan.recipe import BatchSpec
from multifaceted.records import Request
from multifaceted.store.batches import BatchFolder, BatchRecord, BatchWriter, IndexEntry
from multifaceted.store.run_folder import RunFolder

URL = "/v1/chat/completions"
MAX_BATCHES = 500  # in one wave; OpenAI lets 2,000 be created in an hour


class Needs(NamedTuple):
    """What a wave asks for."""

    missing: int  # requests, those that no batch had room for included
    records: list[BatchRecord]


@dataclass
class Collector:
    """Goes over all rows once for each wave, and keeps none of them."""

    maker: RowMaker  # with an asker that sends nothing
    folder: RunFolder
    batches: BatchFolder
    usage: Usage
    spec: BatchSpec
    forms: dict[str, WireForm] = field(default_factory=dict)  # by model, what was learned from refusals
    queues: dict[tuple[str, str], QueueRoom] = field(default_factory=dict)

    async def collect(self, wanted: list[Work]) -> Needs:
        """Write the input of every batch of the next wave; a file for each model, or several.

        Raises:
            Exception: the reason, where the run was asked to stop; then nothing is left of the files.
        """
        work_on = {work.shard.index: work for work in wanted}
        with ExitStack() as stack:
            wave = _Wave(self, stack)
            for shard, instructions in self.maker.plan.read_shards([work.shard for work in wanted]):
                tasks = (
                    task for instruction in instructions for task in self.maker.plan.tasks_of(instruction)
                )
                rows = work_on[shard.index].rows
                journal_file = self.folder.journal_file(shard.name)
                with self.folder.lock(shard.name), Journal(journal_file) as journal:
                    for task in tasks:
                        if rows is None or task.id in rows:
                            try:
                                await self.maker.make(task, journal)
                            except MissingReply as missing:
                                for request in missing.requests:
                                    wave.add(request, shard.name, journal)
                        await asyncio.sleep(0)  # nothing here waits, and an interrupt must be heard
                        self.maker.asker.control.check_stop()
            return wave.finish()

    def form_of(self, model: str) -> WireForm:
        """How the endpoint wants requests to `model` written, as far as it is known."""
        return self.forms.setdefault(model, WireForm())

    def queue_of(self, model: str, base_url: str) -> QueueRoom:
        """How much the endpoint's queue for `model` takes, as far as it is known."""
        return self.queues.setdefault((model, base_url), QueueRoom(self.spec.max_requests))


class _Wave:
    """The files being written: one open for each model and endpoint."""

    def __init__(self, collector: Collector, stack: ExitStack) -> None:
        self._collector = collector
        self._stack = stack
        self._open: dict[tuple[str, str], BatchWriter] = {}
        self._records: list[BatchRecord] = []
        self._left_over = 0
        self._next = max((record.number for record in collector.batches.read_records()), default=0) + 1
        self._seen: set[str] = set()  # equal requests of a shard share a reply

    def add(self, request: Request, shard: str, journal: Journal) -> None:
        """Write one request into the file of its model."""
        twin = f"{shard} {request.key}"
        if twin in self._seen:
            return
        self._seen.add(twin)
        collector = self._collector
        model = collector.maker.plan.recipe.model_for(request.stage)
        assert isinstance(model, LiveModel)  # noqa: S101 - the recipe was checked
        group = (request.model, model.urls[0])
        body = collector.form_of(request.model).body(vary_seed(request, journal))
        custom_id = content_id([shard, request.key], length=32)
        line = _line(custom_id, body)
        writer = self._writer_for(group, len(line))
        if writer is None:
            self._left_over += 1
            return
        entry = IndexEntry(
            custom_id=custom_id,
            shard=shard,
            stage=request.stage,
            row_id=request.row_id,
            key=request.key,
            max_tokens=request.max_tokens,
            characters=request.characters,
            offset=0,
        )
        writer.add(line, entry, expected_usd=collector.usage.expect_usd(request))

    def finish(self) -> Needs:
        """Finish what is open; everything is on disk then."""
        for group in list(self._open):
            self._finish(group)
        written = sum(record.requests for record in self._records)
        return Needs(written + self._left_over, sorted(self._records, key=lambda record: record.number))

    def _writer_for(self, group: tuple[str, str], size: int) -> BatchWriter | None:
        """The file that takes the next line; None where there are files enough."""
        writer, collector = self._open.get(group), self._collector
        most = collector.queue_of(*group).batch_size
        if writer is not None and (writer.requests >= most or writer.bytes + size > collector.spec.max_bytes):
            self._finish(group)
            writer = None
        if writer is None and len(self._records) + len(self._open) < MAX_BATCHES:
            writer = self._stack.enter_context(BatchWriter(collector.batches, self._next))
            self._open[group] = writer
            self._next += 1
        return writer

    def _finish(self, group: tuple[str, str]) -> None:
        """Make a file durable, and a record of it."""
        writer = self._open.pop(group)
        writer.finish()
        record = BatchRecord(
            number=writer.number,
            model=group[0],
            base_url=group[1],
            requests=writer.requests,
            expected_usd=writer.expected_usd,
        )
        self._records.append(self._collector.batches.write_record(record))


def _line(custom_id: str, body: dict[str, object]) -> bytes:
    line = {"custom_id": custom_id, "method": "POST", "url": URL, "body": body}
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
