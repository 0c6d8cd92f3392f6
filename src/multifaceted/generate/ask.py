"""`ask`: the journal first, then the endpoint, then the journal again, and only then the row goes on.

    reply = await asker.ask(request, journal)

Transient errors are tried again (tenacity) with growing, jittered waits that hold no place in the queue.
"""

import asyncio
import logging
from collections.abc import Mapping

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
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
            stop=stop_after_attempt(model.max_attempts),
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


class _WaitBeforeRetry(wait_exponential_jitter):
    """Growing and jittered, and not shorter than what the endpoint asked for."""

    def __init__(self, first: float) -> None:
        super().__init__(multiplier=first, max=LONGEST_WAIT, jitter=first)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked_for = error.retry_after if isinstance(error, TransientEndpointError) else 0.0
        wait = max(min(asked_for, LONGEST_WAIT), super().__call__(retry_state))
        logger.debug("%s; next attempt in %.1f s", error, wait)
        return wait
