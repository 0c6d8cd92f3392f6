"""`ask`: the journal first, then the endpoint, then the journal again, and only then the row goes on.

    reply = await asker.ask(request, journal)

Transient errors are tried again (tenacity) with growing, jittered waits that hold no place in the queue.
"""

import asyncio
import logging
from collections.abc import Mapping

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential_jitter

from multifaceted.chat.client import ChatClient
from multifaceted.chat.reply import read_reply, tokens_in
from multifaceted.errors import FatalEndpointError, InterruptedRunError, StorageError, TransientEndpointError
from multifaceted.generate.control import RunControl
from multifaceted.journal import Journal, JournalEntry
from multifaceted.plan import LiveModel, LocalModel
from multifaceted.records import Reply, Request, Stage

logger = logging.getLogger(__name__)

LONGEST_WAIT = 120.0  # seconds between two attempts, even where an endpoint asks for an hour
LONGEST_LIMIT_WAIT = 15.0  # seconds, where a rate limit does not say how long
RATE_LIMIT_PATIENCE = 3600.0  # seconds for which one request is kept waiting by rate limits


class Asker:
    """Shared by all rows of a run: the clients, and the bound on requests in flight."""

    def __init__(
        self,
        clients: Mapping[Stage, ChatClient],
        *,
        models: Mapping[Stage, LiveModel | LocalModel],
        concurrency: int,
        control: RunControl,
    ) -> None:
        self.control = control
        self._clients = clients
        self._models = models
        self._slots = asyncio.Semaphore(concurrency)

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """The reply to a request, paid for at most once.

        Raises:
            EndpointError: where there is none: rejected, or transient after the last attempt.
            InterruptedRunError: where the run stops before the request was sent.
        """
        body = journal.get(request.key)
        reply = None if body is None else read_reply(request.key, body)
        if reply is not None:
            return reply
        model = self._models[request.stage]
        retrying = AsyncRetrying(
            stop=_StopAsking(model.max_attempts),
            wait=_WaitBeforeRetry(model.retry_wait),
            retry=retry_if_exception_type(TransientEndpointError),
            sleep=self.control.sleep,
            reraise=True,
        )
        return await retrying(self._ask_once, request, journal)

    async def _ask_once(self, request: Request, journal: Journal) -> Reply:
        # The slot is held until the reply is on disk: so a crash loses no more replies than there are slots.
        async with self._slots:
            if self.control.stopping:
                raise InterruptedRunError("the run is stopping")
            try:
                body = await self._clients[request.stage].ask(request)
                reply = read_reply(request.key, body)
                entry = JournalEntry(request.key, request.stage, request.row_id, body, **tokens_in(reply))
                await journal.put(entry)
            except (FatalEndpointError, StorageError) as error:
                self.control.stop(error)
                raise
        self.control.tally.count_reply(entry.prompt_tokens, entry.completion_tokens)
        if reply is None:
            raise TransientEndpointError("the body of the reply is no chat completion", kind="garbage")
        return reply


class _StopAsking(stop_base):
    """After so many attempts. Those that met a rate limit do not count: they end by time alone."""

    def __init__(self, attempts: int) -> None:
        self._left = attempts

    def __call__(self, retry_state: RetryCallState) -> bool:
        if _error_of(retry_state).kind == "rate_limited":
            return (retry_state.seconds_since_start or 0.0) > RATE_LIMIT_PATIENCE
        self._left -= 1
        return self._left <= 0


class _WaitBeforeRetry(wait_exponential_jitter):
    """Growing and jittered, and not shorter than what the endpoint asked for."""

    def __init__(self, first: float) -> None:
        super().__init__(multiplier=first, max=LONGEST_WAIT, jitter=first)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = _error_of(retry_state)
        longest = LONGEST_LIMIT_WAIT if error.kind == "rate_limited" else LONGEST_WAIT
        wait = max(min(error.retry_after, LONGEST_WAIT), min(super().__call__(retry_state), longest))
        logger.debug("%s; next attempt in %.1f s", error, wait)
        return wait


def _error_of(state: RetryCallState) -> TransientEndpointError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientEndpointError)  # noqa: S101 - nothing else is tried again
    return error
