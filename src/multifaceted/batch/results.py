"""The results of a batch that has ended: fetched, taken in, and waited for where they are not complete yet.

Example:
    refusal = await results.gather(record, state, client)    # at each look at the batch
    results.given_up(record)                                 # why nothing more is expected in this start

Whatever can be read is journaled at once. The batch is done with when its files are whole:
see `wholeness.py`.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from multifaceted.batch.client import BatchClient
from multifaceted.batch.collect import Collector
from multifaceted.batch.folder import BatchRecord
from multifaceted.batch.harvest import Harvest
from multifaceted.batch.state import CLOSING, BatchState
from multifaceted.batch.wholeness import are_unanswered, describe_missing, is_whole
from multifaceted.chat.wire import WireForm
from multifaceted.errors import EndpointError
from multifaceted.store.atomic import translate_os_errors

logger = logging.getLogger(__name__)

LEAST_POLLS = 3  # even where they are so rare that the time is over before
MAX_RESULTS = 64 * 2**20  # bytes of a file of results, and for each of its requests:
MAX_RESULT = 2**20  # 128,000 tokens of Chinese, each character written as \u4e2d


@dataclass
class _Wait:
    """How long the results of one batch have been waited for in this start."""

    status: str = ""
    since: float = 0.0  # when that status was first seen
    polls: int = 0
    told: str = ""  # what else the endpoint said when they were last fetched
    problem: str = ""  # why they are not there
    is_over: bool = False
    is_last: bool = False  # it is over as of this look
    harvest: Harvest | None = None

    def is_due(self, told: str) -> bool:
        """Whether they are worth fetching: what is told changed, or it was long ago; files are large."""
        return told != self.told or self.is_last or math.log2(self.polls).is_integer()


@dataclass
class Results:
    """What is awaited of the batches of one customer."""

    collector: Collector
    clock: Callable[[], float] = time.monotonic
    _waits: dict[int, _Wait] = field(default_factory=dict)  # by number

    async def gather(
        self, record: BatchRecord, state: BatchState, client: BatchClient, written_as: WireForm
    ) -> EndpointError | None:
        """Take in what is there of a batch's results, and settle it where nothing more is to be expected.

        Returns:
            Why every further request will be refused, too, where the results say so; else None.

        Raises:
            EndpointError: where the results cannot be fetched.
        """
        wait = self._look(record, state.status)
        told = f"{state.completed} {state.failed} {state.files}"
        if not wait.is_due(told):
            return None
        wait.told = told
        wait.harvest = wait.harvest or Harvest(self.collector, record, written_as)
        files, unread = await self._fetch(record, state, client)
        found = wait.harvest.take(files)
        may_ask = are_unanswered(state, found) or self.collector.spec.lost_results == "ask_again"
        if is_whole(state, found) or (wait.is_over and state.ended and may_ask):
            self._waits.pop(record.number)
            return wait.harvest.settle(state)
        wait.problem = "; ".join(
            filter(None, (f"{record.base_url} {describe_missing(state, found)}", unread))
        )
        self._note(record, wait)
        return None

    def note_unknown(self, record: BatchRecord) -> None:
        """The endpoint knows of no such batch, at the moment."""
        wait = self._look(record, "unknown")
        wait.problem = f"{record.base_url} knows of no batch {record.batch_id}"
        self._note(record, wait)

    def given_up(self, record: BatchRecord) -> str:
        """Return why nothing more is expected of a batch in this start; empty where something is."""
        wait = self._waits.get(record.number)
        return wait.problem if wait and wait.is_over else ""

    async def _fetch(
        self, record: BatchRecord, state: BatchState, client: BatchClient
    ) -> tuple[list[Path], str]:
        """Return the files that can be read, and why another cannot."""
        files, unread = [], ""
        for number, file_id in enumerate(state.files):
            file = self.collector.batches.file(record.number, f"results-{number}")
            with translate_os_errors(file):
                most = MAX_RESULTS + record.requests * MAX_RESULT
                unread = await client.download(file_id, file, most=most) or unread
            if file.exists():
                files.append(file)
        return files, unread

    def _look(self, record: BatchRecord, status: str) -> _Wait:
        wait, spec = self._waits.setdefault(record.number, _Wait()), self.collector.spec
        if status != wait.status:  # the batch goes on: the wait begins anew
            wait.status, wait.since, wait.polls = status, self.clock(), 0
        wait.polls += 1
        is_late = self.clock() - wait.since >= spec.results_seconds and wait.polls >= LEAST_POLLS
        is_over = is_late or wait.polls >= spec.results_polls
        wait.is_last, wait.is_over = is_over and not wait.is_over, is_over
        return wait

    def _note(self, record: BatchRecord, wait: _Wait) -> None:
        if wait.polls == 1 and wait.status not in CLOSING:
            logger.warning("%s; looking again", wait.problem)
        if wait.is_last:
            logger.warning("%s; giving up for now", wait.problem)
            self.collector.batches.write_record(record.model_copy(update={"waits_for": wait.problem}))
