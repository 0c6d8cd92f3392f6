"""What a customer needs next, written into the input files of batches.

Example:
    needs = await Collector(customer, replay, models, batches, usage, spec).collect()
    needs.missing, needs.records
"""

import asyncio
import json
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

from multifaceted.ask.asker import vary_seed
from multifaceted.ask.channel import Channel, MissingReply
from multifaceted.ask.usage import Usage
from multifaceted.batch.client import ENDPOINT
from multifaceted.batch.customer import Customer
from multifaceted.batch.folder import BatchFolder, BatchRecord, BatchWriter, IndexEntry
from multifaceted.batch.queue_room import QueueRoom
from multifaceted.batch.replay import ReplayAsker
from multifaceted.chat.wire import WireForm
from multifaceted.ids import content_id
from multifaceted.journal import Journal
from multifaceted.models import Models
from multifaceted.models.sending import BatchSpec
from multifaceted.records import Request

MAX_BATCHES = 500  # in one wave; OpenAI lets 2,000 be created in an hour


class Needs(NamedTuple):
    """What a wave asks for."""

    missing: int  # requests, those that no batch had room for included
    records: list[BatchRecord]


@dataclass
class Collector:
    """Goes over all jobs of a customer once for each wave, and keeps none of them."""

    customer: Customer[object]
    replay: ReplayAsker
    models: Models
    batches: BatchFolder
    usage: Usage
    spec: BatchSpec
    forms: dict[str, WireForm] = field(default_factory=dict)  # by model, what was learned from refusals
    queues: dict[tuple[str, str], QueueRoom] = field(default_factory=dict)

    async def collect(self) -> Needs:
        """Write the input of every batch of the next wave; a file for each model, or several.

        Raises:
            Exception: the reason, where the run was asked to stop; then nothing is left of the files.
        """
        with ExitStack() as stack:
            wave = _Wave(self, stack)
            for group in self.customer.groups():
                journal_file = self.customer.journal_file(group.name)
                with (
                    self.customer.lock(group.name),
                    Journal(journal_file, others=group.others) as journal,
                ):
                    for job in group.jobs:
                        try:
                            await job(Channel(self.replay, journal))
                        except MissingReply as missing:
                            for request in missing.requests:
                                wave.add(request, group.name, journal)
                        await asyncio.sleep(0)  # nothing here waits, and an interrupt must be heard
                        self.replay.control.check_stop()
            return wave.finish()

    def form_of(self, model: str) -> WireForm:
        """Return how the endpoint wants requests to `model` written, as far as it is known."""
        return self.forms.setdefault(model, WireForm())

    def queue_of(self, model: str, base_url: str) -> QueueRoom:
        """Return how much the endpoint's queue for `model` takes, as far as it is known."""
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
        self._seen: set[str] = set()  # equal requests of a group share a reply

    def add(self, request: Request, group: str, journal: Journal) -> None:
        """Write one request into the file of its model."""
        twin = f"{group} {request.key}"
        if twin in self._seen:
            return
        self._seen.add(twin)
        collector = self._collector
        queue = (request.model, collector.models[request.label].served_at[0].base_url)
        body = collector.form_of(request.model).body(vary_seed(request, journal))
        custom_id = content_id([group, request.key], length=32)
        line = _line(custom_id, body)
        writer = self._writer_for(queue, len(line))
        if writer is None:
            self._left_over += 1
            return
        entry = IndexEntry(
            custom_id=custom_id,
            group=group,
            label=request.label,
            row_id=request.row_id,
            key=request.key,
            max_tokens=request.max_tokens,
            characters=request.characters,
            offset=0,
        )
        writer.add(line, entry, expected_usd=collector.usage.expect_usd(request))

    def finish(self) -> Needs:
        """Finish what is open; everything is on disk then."""
        for queue in list(self._open):
            self._finish(queue)
        written = sum(record.requests for record in self._records)
        return Needs(written + self._left_over, sorted(self._records, key=lambda record: record.number))

    def _writer_for(self, queue: tuple[str, str], size: int) -> BatchWriter | None:
        """Return the file that takes the next line; None where there are files enough."""
        writer, collector = self._open.get(queue), self._collector
        most = collector.queue_of(*queue).batch_size
        if writer is not None and (writer.requests >= most or writer.bytes + size > collector.spec.max_bytes):
            self._finish(queue)
            writer = None
        if writer is None and len(self._records) + len(self._open) < MAX_BATCHES:
            writer = self._stack.enter_context(BatchWriter(collector.batches, self._next))
            self._open[queue] = writer
            self._next += 1
        return writer

    def _finish(self, queue: tuple[str, str]) -> None:
        """Make a file durable, and a record of it."""
        writer = self._open.pop(queue)
        writer.finish()
        record = BatchRecord(
            number=writer.number,
            model=queue[0],
            base_url=queue[1],
            requests=writer.requests,
            expected_usd=writer.expected_usd,
        )
        self._records.append(self._collector.batches.write_record(record))


def _line(custom_id: str, body: dict[str, object]) -> bytes:
    line = {"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(line, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
