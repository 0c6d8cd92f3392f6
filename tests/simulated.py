"""Simulated time: `run_simulated(coroutine)` runs it in a loop whose clock jumps to the next timer.

Example:
    run_simulated(asyncio.sleep(3600))       # at once
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from multifaceted.errors import EndpointError
from multifaceted.records import Reply, Request

_T = TypeVar("_T")
TICK = 1e-6  # seconds that each look at the clock costs, as with a real one


class SimulatedClock:
    """Seconds, from any start; they pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everybody waits for something that will never happen")
        self._clock.now += TICK + (0.0 if ready else timeout or 0.0)
        return ready


class _SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._simulated = SimulatedClock()
        super().__init__(_JumpingSelector(self._simulated))

    def time(self) -> float:
        return self._simulated()


def run_simulated(main: Coroutine[Any, Any, _T]) -> _T:
    """`asyncio.run` in simulated time; `asyncio.get_running_loop().time` is its clock."""
    with asyncio.Runner(loop_factory=_SimulatedLoop) as runner:
        return runner.run(main)


class SilentClient:
    """A client for tests of those that only hand clients out."""

    def __init__(self) -> None:
        self.closed = False

    async def ask(self, request: Request) -> str:
        raise AssertionError("nothing is to be asked here")

    def take_max_tokens(self, request: Request) -> int | None:
        raise AssertionError("nothing is to be asked here")

    def explain(self, body: str, reply: Reply | None) -> EndpointError:
        raise AssertionError("nothing is to be asked here")

    async def close(self) -> None:
        self.closed = True
