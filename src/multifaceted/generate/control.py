"""The reins of a run: its running counts, and the wish to stop.

Example:
    control = RunControl()
    control.stop()          # what is in flight comes in, nothing more is sent
"""

import asyncio

from multifaceted.errors import InterruptedRunError
from multifaceted.records import Tally


class RunControl:
    """Shared by all rows of a run and by whoever watches it."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.reason: Exception = InterruptedRunError("the run was interrupted")
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to stop."""
        return self._stopping.is_set()

    def stop(self, reason: Exception | None = None) -> None:
        """Send nothing more; the first reason given stands."""
        if reason is not None and not self.stopping:
            self.reason = reason
        self._stopping.set()

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run stops first."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
