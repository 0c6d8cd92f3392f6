"""`ask`: the journal first, then an endpoint, then the journal again, and only then the row goes on.

    reply = await asker.ask(request, journal)

Transient errors are tried again (tenacity) with growing, jittered waits that hold no place at an endpoint.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from multifaceted.ask.control import RunControl
from multifaceted.ask.held import Asking
from multifaceted.ask.patience import StopAsking, WaitBeforeRetry, error_of
from multifaceted.ask.usage import RAISE_BUDGET, Usage, check_usage_is_known
from multifaceted.chat.pool import EndpointPool
from multifaceted.chat.reply import read_reply
from multifaceted.errors import (
    FatalEndpointError,
    InterruptedRunError,
    LimitReachedError,
    StorageError,
    TransientEndpointError,
)
from multifaceted.ids import seed_from
from multifaceted.journal import Journal, JournalEntry, JournalSum
from multifaceted.models import Models
from multifaceted.records import Reply, Request

logger = logging.getLogger(__name__)


class Asks(Protocol):
    """Whoever answers requests: live, from what is there already, or not at all."""

    control: RunControl

    @property
    def capacity(self) -> int:
        """Requests that may be in flight at most."""
        ...

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """Return the reply to a request.

        Raises:
            EndpointError: where there is none.
            MissingReply: where it has none and sends nothing.
        """
        ...


class Asker:
    """Asks live. Shared by everything that a run asks. Pools, models and usage go by label.

    `max_usd` is the budget of the whole run, over all restarts; None for no bound.
    """

    def __init__(
        self,
        pools: Mapping[str, EndpointPool],
        *,
        models: Models,
        usage: Usage,
        control: RunControl,
        max_usd: float | None = None,
    ) -> None:
        self.control = control
        self.usage = usage
        self.models = models
        self.max_usd = max_usd
        self._pools = pools
        self._asking = Asking(set(pools.values()))
        self._in_flight: dict[tuple[int, str], asyncio.Event] = {}  # by journal and request key

    @property
    def capacity(self) -> int:
        """Requests that may be in flight at most."""
        return sum(pool.capacity for pool in set(self._pools.values()))

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """Return the reply to a request, paid for at most once.

        Raises:
            EndpointError: where there is none: rejected, or transient after the last attempt.
            InterruptedRunError: where the run stops before the request was sent.
        """
        place = id(journal), request.key
        while (reply := find_reply(request, journal)) is None:
            twin = self._in_flight.get(place)
            if twin is None:
                self._in_flight[place] = asyncio.Event()
                try:
                    with self._asking.one():
                        return await self._ask_patiently(request, journal)
                finally:
                    self._in_flight.pop(place).set()
            await twin.wait()  # the same is asked already: its reply is ours too
        return reply

    def note_answered(self, sums: Iterable[JournalSum], names: Mapping[str, str]) -> None:
        """Take in what journals hold of earlier sessions, and how requests name the model of each label.

        Where a model has answered, a few refusals are the rows' own: the last bad row of a run could never be
        written down otherwise.
        """
        for part in sums:
            # A body that was no reply has no tokens.
            if part.completion_tokens and part.stage in self._pools and part.model == names[part.stage]:
                self._pools[part.stage].answered_before = True

    async def _ask_patiently(self, request: Request, journal: Journal) -> Reply:
        # Nearly all requests are answered at once, and setting up retries costs a tenth of what asking does.
        try:
            return await self._ask_once(request, journal)
        except TransientEndpointError as error:
            failed = [error]

        async def ask_again() -> Reply:
            if failed:
                raise failed.pop()  # the first attempt, which counts
            return await self._ask_once(request, journal)

        model = self.models[request.label]
        retrying = AsyncRetrying(
            stop=StopAsking(model.max_attempts, model.max_retry_time),
            wait=WaitBeforeRetry(model.retry_wait),
            retry=retry_if_exception_type(TransientEndpointError),
            sleep=self.control.sleep,
            before_sleep=lambda state: self._note_retry(request, state),
            reraise=True,
        )
        return await retrying(ask_again)

    async def _ask_once(self, request: Request, journal: Journal) -> Reply:
        expected = self.usage.expect(request)
        try:
            # The place is held until the reply is on disk: a crash loses no more than what was in flight.
            async with self._pools[request.label].endpoint(expected) as endpoint:
                self._check_reins()
                began = time.monotonic()
                sent = vary_seed(request, journal)
                body = await endpoint.client.ask(sent)
                seconds = time.monotonic() - began
                reply = read_answer(request, body, allowed=endpoint.client.take_max_tokens(sent))
                entry = make_entry(request, body, reply, usage=self.usage, seconds=seconds)
                await journal.put(entry)
                self.usage.learn(request.label, request.characters, reply)
                if reply is not None and reply.is_counted:
                    endpoint.settle(expected, entry.prompt_tokens + entry.completion_tokens)
                self.control.tally.count_reply(reply, entry.usd)
                if reply is None or reply.ending == "broken":
                    raise endpoint.client.explain(body, reply)
        except (FatalEndpointError, StorageError) as error:
            self.control.stop(error)
            raise
        return reply

    def _check_reins(self) -> None:
        """Look once more before money is spent: the run may have stopped while the request waited."""
        if self.control.stopping:
            raise InterruptedRunError("the run is stopping")
        try:
            self._check_budget()
        except LimitReachedError as error:
            self.control.stop(error)
            raise

    def _check_budget(self) -> None:
        check_usage_is_known(self.control.tally, self.max_usd)
        spent = self.control.tally.usd
        if self.max_usd is not None and spent >= self.max_usd:
            raise LimitReachedError(
                f"the budget of {self.max_usd:,.2f} USD is spent ({spent:,.2f} USD in all)",
                hint=RAISE_BUDGET,
            )

    def _note_retry(self, request: Request, state: RetryCallState) -> None:
        error = error_of(state)
        self.control.tally.retries[error.kind] += 1
        place = request.row_id, request.label, request.key[:12]
        logger.debug("row %s, %s, request %s: %s; asked again", *place, error)


def find_reply(request: Request, journal: Journal) -> Reply | None:
    """Return the usable reply to a request; None where there is none, or one that was cut too early.

    What the journal lacks is looked for in the other journals of the run.
    """
    reply = _find_kept(request, journal)
    if reply is None and journal.adopt(request.key):
        reply = _find_kept(request, journal)
    return reply


def _find_kept(request: Request, journal: Journal) -> Reply | None:
    stored = journal.get(request.key)
    reply = None if stored is None else read_answer(request, stored.body, allowed=stored.cut_at)
    if stored is None or reply is None or reply.ending == "broken":
        return None
    if reply.is_cut and stored.cut_at is not None:
        longer = request.max_tokens is None or request.max_tokens > stored.cut_at
        return None if longer else reply
    return reply


def read_answer(request: Request, body: str, *, allowed: int | None) -> Reply | None:
    """The reply to a request in a body; None where it holds none. `allowed` is the max_tokens it had."""
    return read_reply(
        request.key,
        body,
        max_tokens=allowed,
        whole_endings=request.whole_endings,
        inline_reasoning=request.inline_reasoning,
    )


def vary_seed(request: Request, journal: Journal) -> Request:
    """Return the request as it is sent: with a seed of its own each time its replies were set aside.

    An endpoint that honors seeds would give the unwanted reply again. The request keeps its key.
    """
    times = journal.times_set_aside(request.key)
    if not times or "seed" not in request.parameters:
        return request
    seed = seed_from(request.parameters["seed"], times)
    return replace(request, parameters={**request.parameters, "seed": seed})


class RequestNote(NamedTuple):
    """What must be remembered of a request until its reply is there."""

    key: str
    label: str
    row_id: str
    model: str
    max_tokens: int | None


def make_entry(
    asked: Request | RequestNote,
    body: str,
    reply: Reply | None,
    *,
    usage: Usage,
    seconds: float | None = None,
) -> JournalEntry:
    """Return what the journal keeps of a reply."""
    entry = JournalEntry(asked.key, asked.label, asked.row_id, asked.model, usage.mode, body, seconds=seconds)
    if reply is None:
        return entry
    return replace(
        entry,
        cut_at=asked.max_tokens if reply.is_cut else None,
        usd=usage.cost(asked.label, reply, model=asked.model),
        prompt_tokens=reply.prompt_tokens,
        cached_tokens=reply.cached_tokens,
        completion_tokens=reply.completion_tokens,
        reasoning_tokens=reply.reasoning_tokens,
    )
