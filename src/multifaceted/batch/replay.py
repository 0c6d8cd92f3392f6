"""Answers from what is there already: a `ReplayAsker` sends nothing.

A job whose next replies are missing stops there, and says which requests it would make.
"""

from multifaceted.ask.asker import Asker, find_reply
from multifaceted.ask.channel import MissingReply
from multifaceted.batch.folder import BatchFailure
from multifaceted.errors import RejectedRequestError, TransientEndpointError
from multifaceted.journal import Journal
from multifaceted.records import Reply, Request


class ReplayAsker:
    """Answers from journal and known failures; what neither has is missing, or asked live.

    Args:
        live: asks what is missing, once `asks_live` is set.
    """

    def __init__(self, live: Asker) -> None:
        self.control = live.control
        self.capacity = live.capacity
        self.asks_live = False
        self.failures: dict[str, BatchFailure] = {}  # for good, by request key
        self._live = live

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """Return the reply to a request, if there is one.

        Raises:
            EndpointError: where a batch brought a failure.
            MissingReply: where there is nothing yet.
        """
        reply = find_reply(request, journal)
        if reply is not None:
            return reply
        failure = self.failures.get(request.key)
        if failure is not None:
            error = TransientEndpointError if failure.retryable else RejectedRequestError
            raise error(failure.message, kind=failure.kind)
        if self.asks_live:
            return await self._live.ask(request, journal)
        raise MissingReply([request])
