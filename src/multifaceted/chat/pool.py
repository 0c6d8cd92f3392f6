"""The endpoints of one model: who asks gets the least busy one, in turn, as soon as its limits allow.

Example:
    async with pool.lane(tokens=900) as lane:
        body = await lane.client.ask(request)

Waiting happens here and nowhere else, so that it counts neither as a timeout nor as a request in flight.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from multifaceted.chat.lane import Lane
from multifaceted.errors import EndpointError, FatalEndpointError, InterruptedRunError, TransientEndpointError

OUTAGE_PATIENCE = 600.0  # seconds without one reply from any endpoint, after which the run stops
LIMIT_PATIENCE = 3600.0  # the same where they answer, but with 429 alone


class EndpointPool:
    """Shared by all rows that ask the same model."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = list(lanes)
        self._waiting: deque[tuple[float, asyncio.Future[Lane]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def capacity(self) -> int:
        """Requests that may be in flight at most."""
        return sum(lane.concurrency for lane in self.lanes)

    @asynccontextmanager
    async def lane(self, tokens: float) -> AsyncIterator[Lane]:
        """Hold a place at an endpoint for as long as the block lasts.

        Args:
            tokens: what the request is expected to use, prompt and reply together.

        Raises:
            InterruptedRunError: where the run stops before there is a place.
            FatalEndpointError: instead of the block's transient error, where no endpoint is left to wait for.
        """
        lane = await self._get_lane(tokens)
        sent_at = lane.clock()
        try:
            yield lane
        except EndpointError as error:
            lane.note_error(error, sent_at)
            self._check_outage(error)
            raise
        else:
            lane.note_answer()
        finally:
            lane.in_flight -= 1
            self._hand_out()

    def stop(self) -> None:
        """Send away all that wait, and all that come."""
        self._stopped = True
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(InterruptedRunError("the run is stopping"))

    async def close(self) -> None:
        """Close every endpoint's client."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
        for lane in self.lanes:
            await lane.client.close()

    async def _get_lane(self, tokens: float) -> Lane:
        if self._stopped:
            raise InterruptedRunError("the run is stopping")
        future: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, future))
        self._hand_out()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                future.result().in_flight -= 1  # it was given a place that nobody takes
            self._hand_out()
            raise

    def _hand_out(self) -> None:
        """Give places to those that wait, first come, first served."""
        while self._waiting:
            tokens, future = self._waiting[0]
            if not future.done():
                wait, lane = min(((lane.wait(tokens), lane) for lane in self.lanes), key=_by_wait_and_load)
                if wait > 0:
                    self._look_again_in(wait)
                    return
                lane.take(tokens)
                future.set_result(lane)
            self._waiting.popleft()

    def _look_again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not math.isinf(seconds):  # else whoever comes back looks
            self._timer = asyncio.get_running_loop().call_later(seconds, self._hand_out)

    def _check_outage(self, error: EndpointError) -> None:
        """Endpoints that give no reply are rested and tried again; but not for ever."""
        since = [lane.silent_since for lane in self.lanes if lane.silent_since is not None]
        if not isinstance(error, TransientEndpointError) or len(since) < len(self.lanes):
            return
        is_down = all(lane.down_since is not None for lane in self.lanes)
        where = ", ".join(lane.label for lane in self.lanes)
        if is_down and error.kind == "connection" and not any(lane.answered for lane in self.lanes):
            hint = "start the server, or correct base_url in the recipe"
            raise FatalEndpointError(f"no server answers at {where}: {error.message}", hint=hint) from error
        silence = self.lanes[0].clock() - max(since)
        if silence > (OUTAGE_PATIENCE if is_down else LIMIT_PATIENCE):
            message = f"no reply from {where} for {silence / 60:.0f} minutes: {error.message}"
            raise FatalEndpointError(message, hint="run again once it answers") from error


def _by_wait_and_load(found: tuple[float, Lane]) -> tuple[float, bool, float]:
    """Soonest, then the one that answers: a row is not spent on an endpoint that may be down."""
    wait, lane = found
    return wait, lane.failing, lane.load
