"""The engine: ask once, pay once, repair, retry, keep the budget, stop. Whoever asks is its customer."""

from multifaceted.ask.asker import Asker, Asks, find_reply
from multifaceted.ask.channel import Channel, Exchange, NoReplyError
from multifaceted.ask.control import RunControl
from multifaceted.ask.line import Line
from multifaceted.ask.opened import open_asker

__all__ = [
    "Asker",
    "Asks",
    "Channel",
    "Exchange",
    "Line",
    "NoReplyError",
    "RunControl",
    "find_reply",
    "open_asker",
]
