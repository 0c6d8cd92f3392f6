"""The control of a run: its running counts, and the wish to stop.

Example:
    control = RunControl()
    control.stop()          # what is in flight comes in, nothing more is sent
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from multifaceted.errors import InterruptedRunError
from multifaceted.records import Tally

logger = logging.getLogger(__name__)


class Watched(Protocol):
    """What can be seen of an endpoint while a run is at work."""

    label: str
    in_flight: int

    def describe(self) -> str:
        """Return the limit in force and why."""
        ...


@dataclass
class BatchView:
    """What is seen of one batch while it is at work."""

    label: str
    in_flight: int
    status: str = "submitted"
    done: int = 0

    def describe(self) -> str:
        """Return its state, in words."""
        return f"batch {self.status}, {self.done:,} of {self.in_flight:,} done"


class RunControl:
    """Shared by all rows of a run and by whoever watches it."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.reason: Exception = InterruptedRunError("the run was interrupted")
        self.endpoints: Sequence[Watched] = ()
        self._told: set[str] = set()
        self._stopping = asyncio.Event()
        self._on_stop: list[Callable[[], None]] = []

    @property
    def stopping(self) -> bool:
        """Return whether the run was asked to stop."""
        return self._stopping.is_set()

    def stop(self, reason: Exception | None = None) -> None:
        """Send nothing more; the first reason given stands."""
        if reason is not None and not self.stopping:
            self.reason = reason
        self._stopping.set()
        for tell in self._on_stop:
            tell()

    def tell_when_stopped(self, tell: Callable[[], None]) -> None:
        """Have a function called as soon as the run stops."""
        self._on_stop.append(tell)

    def tell_once(self, message: str) -> None:
        """Warn of something that many replies have in common."""
        if message not in self._told:
            self._told.add(message)
            logger.warning("%s", message)

    @contextmanager
    def heed_signals(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Call a function at each Ctrl-C and SIGTERM, in place of what Python does."""
        loop = asyncio.get_running_loop()
        # Only the main thread may listen; elsewhere whoever started it does.
        in_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if in_main else ()
        for number in numbers:
            loop.add_signal_handler(number, interrupt)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def sleep(self, seconds: float) -> None:
        """Wait, unless the run stops first."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def pause(self, seconds: float) -> None:
        """Wait; raise the reason where the run stops first."""
        await self.sleep(seconds)
        self.check_stop()

    def check_stop(self) -> None:
        """Raise the reason where the run was asked to stop."""
        if self.stopping:
            raise self.reason
