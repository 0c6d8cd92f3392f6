"""Chat clients: one small protocol, `await client.ask(request) -> str` (the raw body of the reply)."""

from multifaceted.chat.client import ChatClient
from multifaceted.chat.live import LiveClient
from multifaceted.chat.reply import read_reply

__all__ = ["ChatClient", "LiveClient", "read_reply"]
