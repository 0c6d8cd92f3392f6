"""From the result files of a batch to journals and failures.

Example:
    found = harvest.take(files)          # as often as there are files to read
    refusal = harvest.settle(state)      # once nothing more is expected

Results come in any order and are matched by id. Whatever happened to the batch, a request that has a reply
there is paid for, and goes into its group's journal before anything else. Files that are not complete yet are
taken in as far as they go; what is read a second time counts once.
"""

import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from multifaceted.ask.asker import RequestNote, make_entry
from multifaceted.batch.collect import Collector
from multifaceted.batch.folder import BatchFailure, BatchRecord, IndexEntry
from multifaceted.batch.lines import Answered, Line, Refused, Unanswered, read_lines, read_outcome
from multifaceted.batch.state import BatchState
from multifaceted.batch.wholeness import Found
from multifaceted.chat.body_errors import explain_body
from multifaceted.chat.capabilities import learn_from_line
from multifaceted.chat.error_body import MAX_MESSAGE
from multifaceted.chat.policy import translate_refusal
from multifaceted.chat.reply import read_reply
from multifaceted.chat.wire import WireForm
from multifaceted.credentials import blot_body
from multifaceted.errors import (
    EndpointError,
    FailureKind,
    FatalEndpointError,
    RejectedRequestError,
    TransientEndpointError,
)
from multifaceted.journal import JournalEntry, append, read_bodies, sum_replies
from multifaceted.records import Reply

logger = logging.getLogger(__name__)

HELD = 200  # replies in memory for each group, before they are committed together
_VARYING = re.compile(r"[0-9a-f]{8,}|\d+")  # in refusals that are alike: request ids, numbers of tokens
NO_REASON, NOTHING = Unanswered("", ""), "no result: no reason given"
REFUSED_ALIKE = "mend what the endpoint complains of and run again: no row is counted as failed"

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
    _held: dict[str, list[tuple[JournalEntry, IndexEntry]]] = field(default_factory=lambda: defaultdict(list))
    _answered: dict[str, EndpointError | None] = field(default_factory=dict)  # by custom id: what is wrong
    _failed: dict[str, Refused | Unanswered] = field(default_factory=dict)  # by custom id
    _bodies: dict[str, int] = field(default_factory=dict)  # hashes, by custom id
    _unmatched: int = 0

    def __post_init__(self) -> None:
        self._batches, self._usage = self.collector.batches, self.collector.usage
        self._index = self._batches.read_index(self.record.number)

    def take(self, files: Iterable[Path]) -> Found:
        """Put all replies into the journals; gives what there is so far.

        Lines that belong to no request are kept in a file of their own. Files that come again may hold less
        than before: what was there once counts.
        """
        self._unmatched = 0
        with self._batches.open_unmatched(self.record.number) as unmatched:
            for file in files:
                for line in read_lines(file):
                    if not self._take(line):
                        self._unmatched += 1
                        unmatched.write(line.text.encode("utf-8", "backslashreplace") + b"\n")
        for group in list(self._held):
            self._commit(group)
        failed = len(self._failed.keys() - self._answered.keys())
        return Found(len(self._index), len(self._answered), failed)

    def settle(self, state: BatchState) -> EndpointError | None:
        """Write down what failed; nothing more is expected of this batch.

        Returns:
            Why every further request will be refused, too, where that is so; else None.
        """
        if self._unmatched:
            kept = self._batches.keep_unmatched(self.record.number)
            message = "batch %s: %d lines belong to none of its requests, or come twice; they are kept in %s"
            logger.warning(message, state.id, self._unmatched, kept)
        failures, fatal = self._read_failures(state)
        alike = self._find_refusal_of_all(failures)
        if alike is not None:
            self._batches.refuse(self.record)
            return alike
        update = {"state": "harvested", "failed": failures, "unmatched": self._unmatched, "waits_for": ""}
        self._batches.write_record(self.record.model_copy(update=update))
        self._batches.remove_files(self.record.number)
        return fatal

    def _take(self, line: Line) -> bool:
        """Take in one line; False where it belongs to no request, or to one that has another reply."""
        entry = self._index.get(line.custom_id)
        if entry is None or line.data is None:
            return False
        try:
            outcome = read_outcome(line.data)
        except (ValueError, RecursionError):  # what it holds cannot even be written down
            outcome = Unanswered("", "")
        if isinstance(outcome, Answered):
            return self._hold(entry, blot_body(outcome.body))  # a body may be a text of JSON in the line
        if outcome == NO_REASON:  # the endpoint's last word on it
            self._answered.setdefault(entry.custom_id, TransientEndpointError(NOTHING, kind="server_error"))
        else:
            self._failed.setdefault(entry.custom_id, outcome)
        return True

    def _hold(self, entry: IndexEntry, body: str) -> bool:
        known = self._bodies.setdefault(entry.custom_id, hash(body))
        if self._answered.get(entry.custom_id, self) is None:
            return known == hash(body)
        self._bodies[entry.custom_id] = hash(body)
        reply = self._read(entry, body)
        asked = RequestNote(entry.key, entry.label, entry.row_id, self.record.model, entry.max_tokens)
        self._held[entry.group].append((make_entry(asked, body, reply, usage=self._usage), entry))
        is_good = reply is not None and reply.ending != "broken"
        self._answered[entry.custom_id] = None if is_good else explain_body(body, reply=reply)
        if len(self._held[entry.group]) >= HELD:
            self._commit(entry.group)
        return True

    def _commit(self, group: str) -> None:
        customer, tally = self.collector.customer, self.collector.replay.control.tally
        held = {entry.key: (made, entry) for made, entry in self._held.pop(group)}
        with customer.lock(group):
            self._spare_good_replies(customer.journal_file(group), held)
            new = append(customer.journal_file(group), [made for made, _ in held.values()])
        for made in new:
            entry = held[made.key][1]
            reply = self._read(entry, made.body)
            self._usage.learn(entry.label, entry.characters, reply)
            tally.count_reply(reply, made.usd)

    def _spare_good_replies(self, file: Path, held: dict[str, tuple[JournalEntry, IndexEntry]]) -> None:
        """Let no damaged result stand before the good one that an earlier look brought."""
        bad = [key for key, (_, entry) in held.items() if self._answered[entry.custom_id] is not None]
        for key, body in read_bodies(file, bad).items():
            reply = self._read(held[key][1], body)
            if reply is not None and reply.ending != "broken":
                self._answered[held.pop(key)[1].custom_id] = None

    def _read(self, entry: IndexEntry, body: str) -> Reply | None:
        model = self.collector.models.get(entry.label)  # gone where the recipe has changed
        return read_reply(
            entry.key,
            body,
            max_tokens=entry.max_tokens,
            whole_endings=model.whole_endings if model else (),
            inline_reasoning=model is not None and model.reasoning == "inline",
        )

    def _read_failures(self, state: BatchState) -> tuple[dict[str, BatchFailure], EndpointError | None]:
        """Return what becomes of each request without a reply, by key; and what would become of any other."""
        reason, fatal = NO_RESULT.get(state.status, NO_RESULT["completed"]), None
        if state.fault:
            reason = reason._replace(message=f"{reason.message}: {state.fault}"[:MAX_MESSAGE])
        failures: dict[str, BatchFailure] = {}
        for name, entry in self._index.items():
            error = self._find_error(name)
            if isinstance(error, FatalEndpointError):
                fatal = error
            elif isinstance(error, RejectedRequestError) and self._learn(self._quote(name, error), entry):
                continue  # it will be written differently
            elif error is not None:
                failures[entry.key] = BatchFailure(error.kind, error.message[:MAX_MESSAGE], error.retryable)
            elif name not in self._answered:
                failures[entry.key] = reason
        return failures, fatal

    def _quote(self, name: str, error: EndpointError) -> str:
        """Return a refusal as the endpoint wrote it."""
        outcome = self._failed.get(name)
        return outcome.text if isinstance(outcome, Refused) else error.message

    def _find_error(self, name: str) -> EndpointError | None:
        """Return what is wrong with the result of a request; None where it is well, or there is none."""
        outcome = self._failed.get(name)
        if name in self._answered or outcome is None:
            return self._answered.get(name)
        if isinstance(outcome, Refused):
            return translate_refusal(outcome.status, {}, outcome.text)
        code, words = outcome.code, outcome.words
        told = explain_body(json.dumps({"error": {"code": code, "message": words or code}}))
        if told.kind != "server_error":
            return told
        kind: FailureKind = "timeout" if "expired" in code else "server_error"
        return TransientEndpointError(f"{code or 'no result'}: {words or 'no reason given'}", kind=kind)

    def _learn(self, text: str, entry: IndexEntry) -> bool:
        """Whether a refusal tells of anything that the refused request did not take into account already.

        Where the recipe itself insists on what the endpoint refuses, no other writing will help; and where
        others of its kind were answered, it was refused for what it holds.
        """
        model = self.collector.models.get(entry.label)
        if model is None or entry.label in {self._index[name].label for name in self._answered}:
            return False
        body = self._batches.read_body(self.record.number, entry.offset)
        change = learn_from_line(self.written_as, text, body, label=entry.label, model=model)
        if change is None:
            return False
        name = self.record.model
        self.collector.forms[name] = self.collector.form_of(name).changed(change)
        return True

    def _find_refusal_of_all(self, failures: dict[str, BatchFailure]) -> EndpointError | None:
        """What the endpoint said where it refused all alike, and never gave one reply: no row's own fault."""
        refusals = [f.message for f in failures.values() if f.kind == "request_rejected" and not f.retryable]
        alike = {_VARYING.sub("#", message.lower()) for message in refusals}
        if len(refusals) < len(self._index) or len(alike) > 1 or self._has_succeeded():
            return None
        message = f"{self.record.base_url} refuses every request for the same reason: {refusals[0]}"
        return FatalEndpointError(message, hint=REFUSED_ALIKE)

    def _has_succeeded(self) -> bool:
        """Return whether any reply ever came."""
        customer = self.collector.customer
        return any(sum_replies(customer.journal_file(group.name)) for group in customer.groups())
