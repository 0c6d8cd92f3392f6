"""Requests whose refusal waits for a verdict: they hold no place, and wait no longer than others are at work.

Example:
    asking = Asking(pools)
    with asking.one():
        ...                                   # ask; a pool calls `asking.aside` while a refusal waits
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

from multifaceted.ask.line import leave_seat
from multifaceted.chat.pool import EndpointPool

QUIET = 0.05  # seconds in which nothing changes, after which no further request is to be expected
STEPS = 50  # of the event loop after that: a busy machine may have had no time for those that are ready


class Asking:
    """Counts what is asked, and what of it waits for a verdict."""

    def __init__(self, pools: Iterable[EndpointPool]) -> None:
        self._pools = list(pools)
        self._asked = 0
        self._held = 0
        self._changes = 0
        self._watch: asyncio.Task[None] | None = None
        for pool in self._pools:
            pool.aside = self.aside

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a request from when it is asked until it is answered or has failed."""
        self._asked += 1
        self._changes += 1
        try:
            yield
        finally:
            self._asked -= 1
            self._look()

    @asynccontextmanager
    async def aside(self) -> AsyncIterator[None]:
        """Let another job have this one's seat: eight refusals may take more jobs than are at work."""
        self._held += 1
        leave_seat()
        self._look()
        try:
            yield
        finally:
            self._held -= 1
            self._changes += 1

    def _look(self) -> None:
        self._changes += 1
        if self._held and self._held == self._asked and (self._watch is None or self._watch.done()):
            self._watch = asyncio.create_task(self._conclude())

    async def _conclude(self) -> None:
        """Have the pools decide once all that is asked waits, and nothing more comes."""
        while self._held and self._held == self._asked:
            changes = self._changes
            await asyncio.sleep(QUIET)
            for _ in range(STEPS):
                await asyncio.sleep(0)
            if changes == self._changes:
                for pool in self._pools:
                    pool.conclude()
                return
