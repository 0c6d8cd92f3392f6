"""Answers from what is there already: a `ReplayAsker` sends nothing.

A job whose next replies are missing stops there, and says which requests it would make.
"""

from collections.abc import Mapping

from multifaceted.ask.asker import Asker, find_reply
from multifaceted.ask.channel import MissingReply
from multifaceted.batch.folder import BatchFailure
from multifaceted.errors import RejectedRequestError, TransientEndpointError
from multifaceted.journal import Journal
from multifaceted.records import Reply, Request


class ReplayAsker:
    """Answers from journal and known failures; what neither has is missing, or asked live.

    Args:
        failures: why requests of batches got no reply, by request key.
        live: asks what is missing; None leaves it missing.
    """

    def __init__(self, failures: Mapping[str, BatchFailure], live: Asker) -> None:
        self.control = live.control
        self.capacity = live.capacity
        self.asks_live = False
        self._failures = failures
        self._live = live

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """The reply to a request, if there is one.

        Raises:
            EndpointError: where a batch brought a failure.
            MissingReply: where there is nothing yet.
        """
        reply = find_reply(request, journal)
        if reply is not None:
            return reply
        failure = self._failures.get(request.key)
        if failure is not None:
            error = TransientEndpointError if failure.retryable else RejectedRequestError
            raise error(failure.message, kind=failure.kind)
        if self.asks_live:
            return await self._live.ask(request, journal)
        raise MissingReply([request])
