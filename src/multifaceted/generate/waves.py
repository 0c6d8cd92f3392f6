"""A run through the Batch API, in waves: what all rows need next is asked in batches, then the wave after.

A row is made from the journal as far as that goes; the request it stops at goes into a batch. When no row
stops any more, everything is there, and shards are written as they are in a live run. So both modes give
the same rows, and a run may change from one to the other at any time.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field

from multifaceted.chat.batches import BatchClient, BatchState
from multifaceted.errors import FatalEndpointError, LimitReachedError
from multifaceted.generate.collect import Collector
from multifaceted.generate.control import RunControl
from multifaceted.generate.harvest import Harvest
from multifaceted.generate.work import Work
from multifaceted.plan.recipe import BatchSpec
from multifaceted.store.batches import BatchFailure, BatchFolder, BatchRecord
from multifaceted.store.run_folder import RunFolder

logger = logging.getLogger(__name__)


@dataclass
class BatchView:
    """What is seen of one batch while it is at work."""

    label: str
    in_flight: int
    status: str = "submitted"
    done: int = 0

    def describe(self) -> str:
        """Its state, in words."""
        return f"batch {self.status}, {self.done:,} of {self.in_flight:,} done"


@dataclass
class Waves:
    """The batches of one run.

    Args:
        folder: the run.
        batches: where its batches are remembered.
        clients: by base URL.
        collector: finds out what is needed next.
        failures: filled with the requests that batches brought no reply for, and never will.
        control: stops the run, and counts.
        spec: sizes and times.
        max_attempts: of one request.
        max_usd: what the run may cost; None for no bound.
    """

    folder: RunFolder
    batches: BatchFolder
    clients: dict[str, BatchClient]
    collector: Collector
    failures: dict[str, BatchFailure]
    control: RunControl
    spec: BatchSpec
    max_attempts: int
    max_usd: float | None
    _views: dict[int, BatchView] = field(default_factory=dict)

    async def run(self, wanted: list[Work], *, leave: int) -> None:
        """Go on until no more than `leave` requests are missing.

        Raises:
            InterruptedRunError: where the run is stopped; submitted batches go on by themselves.
            LimitReachedError: where the budget does not allow the next batch.
            FatalEndpointError: where the endpoint refuses a batch.
        """
        for record in self.batches.read_records():
            if record.state == "written":
                self.batches.discard(record)  # nothing of it was submitted, and the recipe may be another
        await self._finish_open()
        while True:
            self._check_stop()
            self._read_failures()
            records = await self.collector.collect(wanted)
            missing = sum(record.requests for record in records)
            if missing <= leave:
                for record in records:
                    self.batches.discard(record)
                return
            for record in records:
                await self._submit(record)
            await self._finish_open()

    def _read_failures(self) -> None:
        """What has failed for good: refused, or tried often enough."""
        tries = Counter[str]()
        for record in self.batches.read_records():
            for key, failure in record.failed.items() if record.state == "harvested" else ():
                tries[key] += 1
                if not failure.retryable or tries[key] >= self.max_attempts:
                    self.failures[key] = failure

    async def _submit(self, record: BatchRecord) -> None:
        self._check_stop()
        self._check_budget(record)
        client = self.clients[record.base_url]
        if record.state == "written":
            file_id = await client.upload(self.batches.file(record.number, "input"))
            update = {"state": "submitting", "file_id": file_id}
            record = self.batches.write_record(record.model_copy(update=update))
        tag, window = self.batches.tag(record.number), self.spec.completion_window
        batch_id = await client.create(record.file_id, tag=tag, window=window)
        self.batches.write_record(record.model_copy(update={"state": "submitted", "batch_id": batch_id}))

    async def _finish_open(self) -> None:
        """Look after every batch that is at work until all have ended and are harvested."""
        while True:
            records = self._at_work()
            self._show(records)
            for record in records:
                if record.state == "submitting":  # a start that was cut short; it may have come through
                    await self._submit(record)
                else:
                    await self._look_after(record)
                self._check_stop()
            if not records:
                return
            await self.control.sleep(self.spec.poll_seconds)

    async def _look_after(self, record: BatchRecord) -> None:
        state = await self.clients[record.base_url].poll(record.batch_id)
        view = self._views[record.number]
        view.status, view.done = state.status, state.done
        if not state.ended:
            return
        if state.fault:
            await self._give_up(record, state)
            return
        files = []
        for number, file_id in enumerate(state.files):
            files.append(self.batches.file(record.number, f"results-{number}"))
            await self.clients[record.base_url].download(file_id, files[-1])
        harvest = Harvest(
            self.folder,
            self.batches,
            record,
            self.collector.form_of(record.model),
            self.collector.usage,
            self.control.tally,
        )
        harvest.run(state, files)

    async def _give_up(self, record: BatchRecord, state: BatchState) -> None:
        """A batch that was refused as a whole: its requests are still missing, and come in the next wave."""
        alone = len(self._at_work()) == 1
        self.batches.discard(record)
        if not state.queue_is_full or (alone and record.requests == 1):
            hint = "mend what the endpoint complains of, or use mode: live"
            raise FatalEndpointError(f"the endpoint refused batch {state.id}: {state.fault}", hint=hint)
        if alone:  # nothing else of ours is queued: it is too large in itself
            self.collector.max_requests = max(1, record.requests // 2)
            logger.warning("the endpoint's queue is full; the next batches hold %d", record.requests // 2)
        await self.control.sleep(self.spec.poll_seconds)

    def _at_work(self) -> list[BatchRecord]:
        return [r for r in self.batches.read_records() if r.state in ("submitting", "submitted")]

    def _show(self, records: list[BatchRecord]) -> None:
        self._views = {
            record.number: self._views.get(record.number)
            or BatchView(record.batch_id or f"batch {record.number}", record.requests)
            for record in records
        }
        self.control.endpoints = list(self._views.values())

    def _check_stop(self) -> None:
        if self.control.stopping:
            raise self.control.reason

    def _check_budget(self, record: BatchRecord) -> None:
        if self.max_usd is None or record.state != "written":
            return
        at_work = sum(other.expected_usd for other in self._at_work())
        spent = self.control.tally.usd
        if spent + at_work + record.expected_usd <= self.max_usd:
            return
        raise LimitReachedError(
            f"the next batch may cost {record.expected_usd:,.2f} USD; of {self.max_usd:,.2f} USD budgeted, "
            f"{spent:,.2f} are spent and {at_work:,.2f} are at work",
            hint="raise budget.max_usd in the recipe, or --max-usd, and run again: it goes on from here",
        )
