"""The protocol that every chat client keeps: one request in, the raw body of its reply out."""

from typing import Protocol

from multifaceted.errors import EndpointError
from multifaceted.records import Reply, Request


class ChatClient(Protocol):
    """Asks one model at one endpoint. One attempt a call: retries belong to the caller."""

    async def ask(self, request: Request) -> str:
        """Send one request and return the response body untouched, for the journal.

        Raises:
            EndpointError: one of its kinds, telling whether another try can help.
        """
        ...

    def take_max_tokens(self, request: Request) -> int | None:
        """The `max_tokens` with which an answered request was sent, which may be fewer than it asks for."""
        ...

    def explain(self, body: str, reply: Reply | None) -> EndpointError:
        """Return what a body means that holds no reply, or one that the endpoint stopped in the middle of."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...
