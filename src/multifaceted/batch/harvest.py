"""From the result files of a batch to journals and failures: `Harvest(…).run(state, files)`.

Results come in any order and are matched by id. Whatever happened to the batch, a request that has a reply
there is paid for, and goes into its group's journal before anything else.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from multifaceted.ask.asker import Asked, make_entry
from multifaceted.batch.collect import Collector
from multifaceted.batch.folder import BatchFailure, BatchRecord, IndexEntry
from multifaceted.batch.state import BatchState
from multifaceted.chat.manners import learn_from_line
from multifaceted.chat.policy import MAX_MESSAGE, translate_refusal
from multifaceted.chat.reply import read_reply
from multifaceted.chat.wire import WireForm
from multifaceted.errors import EndpointError, FailureKind, FatalEndpointError, RejectedRequestError
from multifaceted.journal import JournalEntry, append

logger = logging.getLogger(__name__)

STATUSES = range(100, 600)  # that HTTP has
HELD = 200  # replies in memory for each group, before they are committed together

# Why a request of a batch that ended so has no result.
NO_RESULT = {
    "expired": BatchFailure("timeout", "the batch expired before this request was answered", True),
    "cancelled": BatchFailure(
        "server_error", "the batch was cancelled before this request was answered", True
    ),
    "completed": BatchFailure("garbage", "the batch's result files hold nothing for this request", True),
    "failed": BatchFailure("server_error", "the batch failed before this request was answered", True),
}


@dataclass
class Harvest:
    """One batch's results on their way into the journals."""

    collector: Collector  # asked for them; its forms learn from refusals, its usage from replies
    record: BatchRecord
    written_as: WireForm  # how its requests were written
    hide: Callable[[str], str]  # blots the API key out of the endpoint's words
    _held: dict[str, list[JournalEntry]] = field(default_factory=lambda: defaultdict(list))
    _failed: dict[str, BatchFailure] = field(default_factory=dict)
    _fatal: EndpointError | None = None
    _answered: set[str] = field(default_factory=set)  # labels that got a reply
    _refused: list[tuple[IndexEntry, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._batches, self._usage = self.collector.batches, self.collector.usage

    def run(self, state: BatchState, files: list[Path]) -> None:
        """Take in everything, and write down what failed.

        Raises:
            FatalEndpointError: where a request was refused as every other will be; all else is taken in.
        """
        index = self._batches.read_index(self.record.number)
        seen: set[str] = set()
        for line in _read_results(files):
            entry = index.get(str(line.get("custom_id")))
            if entry is None:
                logger.warning("batch %s: a result for a request that is none of its own", state.id)
            elif entry.custom_id not in seen:
                seen.add(entry.custom_id)
                self._take(entry, line)
        for group in list(self._held):
            self._commit(group)
        for entry, status, body in self._refused:  # last, for replies say what is not refused
            self._refuse(entry, status, body)
        reason = NO_RESULT[state.status]
        if state.fault:
            reason = reason._replace(message=f"{reason.message}: {state.fault}"[:MAX_MESSAGE])
        for entry in index.values():
            if entry.custom_id not in seen:
                self._failed[entry.key] = reason
        update = {"state": "harvested", "failed": self._failed}
        self._batches.write_record(self.record.model_copy(update=update))
        self._batches.remove_files(self.record.number)
        if self._fatal is not None:
            raise self._fatal

    def _take(self, entry: IndexEntry, line: dict[str, Any]) -> None:
        response = line.get("response")
        status = response.get("status_code") if isinstance(response, dict) else None
        if not isinstance(response, dict) or not isinstance(status, int) or status not in STATUSES:
            self._fail(entry, line.get("error"))
            return
        body = json.dumps(response.get("body"), separators=(",", ":"))
        if status >= HTTPStatus.MULTIPLE_CHOICES:
            self._refused.append((entry, status, body))
            return
        reply = read_reply(entry.key, body)
        self._answered.add(entry.label)
        self._usage.learn(entry.label, entry.characters, reply)
        asked = Asked(entry.key, entry.label, entry.row_id, self.record.model, entry.max_tokens)
        self._held[entry.group].append(make_entry(asked, body, reply, usage=self._usage))
        if reply is None:
            self._failed[entry.key] = BatchFailure("garbage", "the result is no chat completion", True)
        if len(self._held[entry.group]) >= HELD:
            self._commit(entry.group)

    def _fail(self, entry: IndexEntry, error: Any) -> None:
        """The endpoint did not get to this request."""
        code, words = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
        kind: FailureKind = "timeout" if code == "batch_expired" else "server_error"
        message = f"{code or 'no result'}: {words or 'no reason given'}"
        self._failed[entry.key] = BatchFailure(kind, self.hide(message)[:MAX_MESSAGE], True)

    def _refuse(self, entry: IndexEntry, status: int, text: str) -> None:
        error = translate_refusal(status, {}, self.hide(text))
        if isinstance(error, FatalEndpointError):
            self._fatal = error
            return
        if isinstance(error, RejectedRequestError) and self._learn(text, entry):
            return  # it will be written differently
        self._failed[entry.key] = BatchFailure(error.kind, error.message, error.retryable)

    def _learn(self, text: str, entry: IndexEntry) -> bool:
        """Whether a refusal tells of anything that the refused request did not take into account already.

        Where the recipe itself insists on what the endpoint refuses, no other writing will help; and where
        others of its kind were answered, it was refused for what it holds.
        """
        if entry.label in self._answered:
            return False
        body = self._batches.read_body(self.record.number, entry.offset)
        model = self.collector.models[entry.label]
        change = learn_from_line(self.written_as, text, body, label=entry.label, model=model)
        if change is None:
            return False
        name = self.record.model
        self.collector.forms[name] = self.collector.form_of(name).changed(change)
        return True

    def _commit(self, group: str) -> None:
        customer, tally = self.collector.customer, self.collector.replay.control.tally
        with customer.lock(group):
            new = append(customer.journal_file(group), self._held.pop(group))
        for entry in new:
            tally.count_reply(read_reply(entry.key, entry.body), entry.usd)


def _read_results(files: list[Path]) -> Iterator[dict[str, Any]]:
    """The lines of result files; one that is no JSON object is told of; its request has no answer."""
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for number, text in enumerate(lines, start=1):
                try:
                    line = json.loads(text)
                except (ValueError, RecursionError):
                    line = None
                if isinstance(line, dict):
                    yield line
                elif text.strip():
                    logger.warning("%s, line %d is no JSON object", file.name, number)
