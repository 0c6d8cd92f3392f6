"""The bounded line of work: jobs start and end in order, and only so many are alive.

Example:
    line = Line(control, capacity=64)
    async with line.winding_up():
        await line.feed(jobs, take)
        await line.finish()
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from multifaceted.ask.control import RunControl

MadeT = TypeVar("MadeT")
Job: TypeAlias = Callable[[], Coroutine[Any, Any, MadeT]]

# Jobs at work for each request in flight: more than one, so that no place idles while a reply is read.
JOBS_PER_REQUEST = 2
# Jobs alive for each request in flight: those that are done wait for a slow one before them, up to this many.
WINDOW_PER_REQUEST = 16
MAX_WINDOW = 6000  # jobs alive in all, for they take memory


class _Seat:
    """The right of a job to be at work; once left, another job has it."""

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places: asyncio.Semaphore | None = places

    def leave(self) -> None:
        """Let another job have it, if none has."""
        places, self._places = self._places, None
        if places is not None:
            places.release()


_SEAT: ContextVar[_Seat | None] = ContextVar("_SEAT", default=None)


def leave_seat() -> None:
    """Let another job be at work in place of the present one, which has to wait for others."""
    seat = _SEAT.get()
    if seat is not None:
        seat.leave()


@dataclass(frozen=True, slots=True)
class Settled(Generic[MadeT]):
    """A job that needs no work: it takes its turn in the line, and is made when that comes."""

    make: Callable[[], MadeT]


class Line(Generic[MadeT]):
    """Jobs under way, in order; `capacity` is how many requests may be in flight at most."""

    def __init__(self, control: RunControl, *, capacity: int) -> None:
        self._control = control
        self._window = min(capacity * WINDOW_PER_REQUEST, max(MAX_WINDOW, capacity * JOBS_PER_REQUEST))
        self._at_work = asyncio.Semaphore(capacity * JOBS_PER_REQUEST)
        self._making = 0
        self._alive: deque[tuple[asyncio.Task[MadeT] | Settled[MadeT], Callable[[MadeT], None]]] = deque()

    async def feed(self, jobs: Iterable[Job[MadeT] | Settled[MadeT]], take: Callable[[MadeT], None]) -> None:
        """Start jobs, as room comes; `take` is called with what each came to, in order."""
        for job in jobs:
            while self._making >= self._window or self._first_is_done():
                await self.emit()
            self._alive.append((self._start(job), take))

    async def emit(self) -> None:
        """Take the first job off the line."""
        making, take = self._alive[0]
        if isinstance(making, Settled):
            made = making.make()
        else:
            made = await making
            self._making -= 1
        self._alive.popleft()
        take(made)

    async def finish(self) -> None:
        """Take all off."""
        while self._alive:
            await self.emit()

    @asynccontextmanager
    async def winding_up(self) -> AsyncIterator[None]:
        """Stop the run at whatever ends the block early; what is in flight comes in, for it is paid for.

        Raises:
            Exception: why the run stopped.
        """
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - the one broad catch; it raises again
            self._control.stop(error if isinstance(error, Exception) else None)
            await self._wind_up(at_once=isinstance(error, asyncio.CancelledError))
            reason = self._control.reason
            raise reason from (None if error is reason else error)

    def _first_is_done(self) -> bool:
        first = self._alive[0][0] if self._alive else None
        return first is not None and (isinstance(first, Settled) or first.done())

    def _start(self, job: Job[MadeT] | Settled[MadeT]) -> asyncio.Task[MadeT] | Settled[MadeT]:
        if isinstance(job, Settled):
            return job
        self._making += 1
        return asyncio.create_task(self._work(job))

    async def _work(self, job: Job[MadeT]) -> MadeT:
        await self._at_work.acquire()
        seat = _Seat(self._at_work)
        _SEAT.set(seat)
        try:
            return await job()
        finally:
            seat.leave()

    async def _wind_up(self, *, at_once: bool) -> None:
        """Let what is in flight come in and be journaled; or give it up at once.

        A cancellation while it waits, such as a second interrupt, gives up too.
        """
        tasks = [making for making, _ in self._alive if isinstance(making, asyncio.Task)]
        if at_once:
            for task in tasks:
                task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)  # cancelled, it cancels the tasks
        await asyncio.gather(*tasks, return_exceptions=True)
