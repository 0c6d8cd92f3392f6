"""Public fakes: a loopback server, OpenAI-compatible, live and batch, that misbehaves on demand.

    with ChatServer(fault=lambda body: Fault(status=500) if body["seed"] % 10 == 0 else None) as server:
        LiveClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), timeout=5)

Its answers are fixed by the request (messages, seed, response format), so equal runs get equal replies.
"""

from multifaceted.testing.faults import BatchFault, Fault
from multifaceted.testing.replies import make_reply
from multifaceted.testing.server import ChatServer

__all__ = ["BatchFault", "ChatServer", "Fault", "make_reply"]
