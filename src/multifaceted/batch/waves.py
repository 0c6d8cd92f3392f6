"""A run through the Batch API, in waves: what all rows need next is asked in batches, then the wave after.

A job is done from the journal as far as that goes; the request it stops at goes into a batch. When no job
stops any more, everything is there, and the customer goes on as it does live. So both modes give the same
results, and a run may change from one to the other at any time.

Every wave brings something, or the waves come to an end: a reply, a failure that counts against the
attempts of its request, a lesson in how the endpoint wants its requests (there are few), or a refusal by a
full queue, whose patience is bounded.
"""

import logging
import uuid
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field

from multifaceted.ask.control import BatchView
from multifaceted.ask.usage import RAISE_BUDGET, check_usage_is_known
from multifaceted.batch.client import BatchClient
from multifaceted.batch.collect import Collector
from multifaceted.batch.folder import BatchRecord
from multifaceted.batch.queue_room import QueueRoom
from multifaceted.batch.results import Results
from multifaceted.batch.state import BatchState
from multifaceted.chat.wire import WireForm
from multifaceted.errors import EndpointError, FatalEndpointError, LimitReachedError
from multifaceted.store.atomic import translate_os_errors

logger = logging.getLogger(__name__)


@dataclass
class Waves:
    """The batches of one customer."""

    collector: Collector  # finds out what is needed next; its asker is told what has failed for good
    clients: dict[str, BatchClient]  # by base URL
    max_usd: float | None  # what the run may cost; None for no bound
    _views: dict[int, BatchView] = field(default_factory=dict)
    _written_as: dict[str, WireForm] = field(default_factory=dict)  # by model, the requests of this wave
    _resuming: bool = True  # whether the batches at work are those of an earlier start

    def __post_init__(self) -> None:
        self._results = Results(self.collector)
        self.batches, self.control = self.collector.batches, self.collector.replay.control

    async def run(self, *, leave: int) -> None:
        """Go on until no more than `leave` requests are missing.

        Raises:
            InterruptedRunError: where the run is stopped; submitted batches go on by themselves.
            LimitReachedError: where the budget does not allow the next batch, or cannot be kept.
            FatalEndpointError: where the endpoint refuses a batch.
        """
        self.batches.tidy()  # what was written and not submitted may be of another recipe
        self._check_endpoints()
        await self._work_off([])
        self._resuming = False
        while True:
            self.control.check_stop()
            self._read_failures()
            self._written_as = deepcopy(self.collector.forms)
            missing, records = await self.collector.collect()
            if missing <= leave:
                self._discard(records)
                return
            await self._work_off(records)
            polls = max(queue.polls_to_wait for queue in self.collector.queues.values())
            if polls:
                await self.control.pause(polls * self.collector.spec.poll_seconds)

    def _read_failures(self) -> None:
        """What has failed for good: refused, or tried often enough."""
        tries = Counter[str]()
        most = max(model.max_attempts for model in self.collector.models.values())
        for record in self.batches.read_records():
            for key, failure in record.failed.items() if record.state == "harvested" else ():
                tries[key] += 1
                if not failure.retryable or tries[key] >= most:
                    self.collector.replay.failures[key] = failure

    async def _work_off(self, waiting: list[BatchRecord]) -> None:
        """Submit batches as far as there is room, and look after all until none is left."""
        while True:
            waiting = await self._submit_into_room(waiting)
            self._show(self._at_work())
            for record in self._at_work():
                if record.state == "submitting":  # a start that was cut short; it may have come through
                    await self._submit(record)
                else:
                    await self._look_after(record)
                self.control.check_stop()
            # What a queue takes nothing of now waits for longer than a poll, and comes in smaller batches.
            queued = self._count_queued()
            refused = [r for r in waiting if self._queue_of(r).refusals and not queued[r.queue]]
            self._discard(refused)
            waiting = [record for record in waiting if record not in refused]
            if not queued and not waiting:
                return
            self._check_results()
            await self.control.pause(self.collector.spec.poll_seconds)

    async def _submit_into_room(self, waiting: list[BatchRecord]) -> list[BatchRecord]:
        """Submit what there is room for; gives what there is none for."""
        queued, left = self._count_queued(), []
        for record in waiting:
            if self._queue_of(record).takes(record.requests, beside=queued[record.queue]):
                await self._submit(record)
                queued[record.queue] += record.requests
            else:
                left.append(record)
        return left

    async def _submit(self, record: BatchRecord) -> None:
        self.control.check_stop()
        self._check_budget(record)
        client, is_new = self.clients[record.base_url], record.state == "written"
        if is_new:
            file = self.batches.file(record.number, "input")
            with translate_os_errors(file):
                file_id = await client.upload(file)
            # A tag of its own, and none that follows from its number, which may have been given before.
            update = {"state": "submitting", "file_id": file_id, "tag": uuid.uuid4().hex}
            record = self.batches.write_record(record.model_copy(update=update))
        window = self.collector.spec.completion_window
        batch_id = await client.create(record.file_id, tag=record.tag, window=window, is_new=is_new)
        self.batches.write_record(record.model_copy(update={"state": "submitted", "batch_id": batch_id}))

    async def _look_after(self, record: BatchRecord) -> None:
        client, view = self.clients[record.base_url], self._views[record.number]
        state = await client.poll(record.batch_id)
        if state is None:
            self._results.note_unknown(record)
            return
        view.status, view.done = state.status, state.done
        if state.refused:
            self._take_refusal(record, state)
        elif state.ended or state.closing:
            written_as = self._written_as.get(record.model, WireForm())
            refusal = await self._results.gather(record, state, client, written_as)
            if record.number in {other.number for other in self._at_work()}:
                view.status = f"{state.status}, waiting for its results"
                return
            self._queue_of(record).note_taken(record.requests)
            if refusal is not None:
                self._stop_unless_resuming(refusal)

    def _check_results(self) -> None:
        """Stop where nothing more is expected of any batch in this start."""
        given_up = [(record, self._results.given_up(record)) for record in self._at_work()]
        if not given_up or not all(problem for _, problem in given_up):
            return
        record, problem = given_up[0]
        hint = (
            "run again later, and it goes on looking: nothing is paid twice. To give the results up, set "
            "lost_results: ask_again under batch in the recipe, or remove "
            f"{self.batches.record_file(record.number)}: what is missing is asked, and paid for, again"
        )
        raise FatalEndpointError(f"{problem} (batch {record.batch_id})", hint=hint)

    def _stop_unless_resuming(self, refusal: EndpointError) -> None:
        """What an earlier start asked may have been refused for a cause that is mended by now."""
        if not self._resuming:
            raise refusal
        logger.warning("of an earlier start: %s", refusal.message)

    def _take_refusal(self, record: BatchRecord, state: BatchState) -> None:
        """A batch was refused as a whole: its requests are still missing, and come in the next wave."""
        self.batches.refuse(record)
        queue, hint = self._queue_of(record), state.hint
        if state.queue_is_full:
            queue.note_full(record.requests, beside=self._count_queued()[record.queue])
            logger.warning("the endpoint's queue is full; it takes %d requests now", queue.requests)
            hint = "the queue may be full of other work: run again later, and it goes on from here"
        elif self._resuming:  # it was told of, or would have been, and the cause may be mended by now
            logger.warning("the endpoint refused batch %s: %s", state.id, state.fault)
            return
        if not state.queue_is_full or queue.exhausted:
            raise FatalEndpointError(f"the endpoint refused batch {state.id}: {state.fault}", hint=hint)

    def _check_endpoints(self) -> None:
        """Batches can be looked after only where the recipe still names their endpoints."""
        for record in self._at_work():
            if record.base_url not in self.clients:
                message = f"{record.base_url} has a batch of this run, and is named by the recipe no more"
                file = self.batches.record_file(record.number)
                hint = (
                    f"name it again; if the batch is truly gone, remove {file}, "
                    "and its requests are asked, and paid for, again"
                )
                raise FatalEndpointError(message, hint=hint)

    def _at_work(self) -> list[BatchRecord]:
        return [record for record in self.batches.read_records() if record.at_work]

    def _queue_of(self, record: BatchRecord) -> QueueRoom:
        return self.collector.queue_of(*record.queue)

    def _count_queued(self) -> Counter[tuple[str, str]]:
        """Requests at work in each queue."""
        queued = Counter[tuple[str, str]]()
        for record in self._at_work():
            queued[record.queue] += record.requests
        return queued

    def _discard(self, records: list[BatchRecord]) -> None:
        for record in records:
            self.batches.discard(record)

    def _show(self, records: list[BatchRecord]) -> None:
        self._views = {
            record.number: self._views.get(record.number)
            or BatchView(record.batch_id or f"batch {record.number}", record.requests)
            for record in records
        }
        self.control.endpoints = list(self._views.values())

    def _check_budget(self, record: BatchRecord) -> None:
        if self.max_usd is None or record.state != "written":
            return
        check_usage_is_known(self.control.tally, self.max_usd)
        at_work = sum(other.expected_usd for other in self._at_work())
        spent = self.control.tally.usd
        if spent + at_work + record.expected_usd <= self.max_usd:
            return
        raise LimitReachedError(
            f"the next batch may cost {record.expected_usd:,.2f} USD; of {self.max_usd:,.2f} USD budgeted, "
            f"{spent:,.2f} are spent and {at_work:,.2f} are at work",
            hint=RAISE_BUDGET,
        )
