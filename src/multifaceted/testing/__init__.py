"""Public fakes on a loopback port, which misbehave on demand: a chat server, live and batch, and a hub.

    with ChatServer(fault=lambda body: Fault(status=500) if body["seed"] % 10 == 0 else None) as server:
        LiveClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), timeout=5)

The chat server's answers are fixed by the request (messages, seed, response format), so equal runs get equal
replies. `ChatServer(like="openrouter")` has the oddities of a real endpoint. `HubServer` is a Hugging Face
hub for datasets: the real client pushes to it and loads from it.
"""

from multifaceted.testing.faults import BatchFault, Fault, HubFault
from multifaceted.testing.hub import HubServer
from multifaceted.testing.personalities import list_personalities
from multifaceted.testing.replies import make_reply
from multifaceted.testing.server import ChatServer

__all__ = ["BatchFault", "ChatServer", "Fault", "HubFault", "HubServer", "list_personalities", "make_reply"]
