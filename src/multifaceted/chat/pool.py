"""The endpoints of one model: who asks gets the least busy one, in turn, as soon as its limits allow.

Example:
    async with pool.endpoint(tokens=900) as endpoint:
        body = await endpoint.client.ask(request)

Waiting happens here and nowhere else, so that it counts neither as a timeout nor as a request in flight.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from multifaceted.chat.limited_endpoint import LimitedEndpoint
from multifaceted.errors import (
    EndpointError,
    FatalEndpointError,
    InterruptedRunError,
    RejectedRequestError,
    TransientEndpointError,
)

logger = logging.getLogger(__name__)

OUTAGE_PATIENCE = 600.0  # seconds without one reply from any endpoint, after which the run stops
LIMIT_PATIENCE = 3600.0  # the same where they answer, but with 429 alone
REFUSES_ALL = "mend the key, base_url or the model in the recipe, and run again: no row is failed by this"


class EndpointPool:
    """Shared by all rows that ask the same model."""

    def __init__(self, endpoints: Sequence[LimitedEndpoint]) -> None:
        self.endpoints = list(endpoints)
        self._waiting: deque[tuple[float, asyncio.Future[LimitedEndpoint]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self.answered_before = False  # in an earlier session, as the journal knows
        # What holds while a refused request waits for the verdict, such as that others may go on
        self.aside: Callable[[], AbstractAsyncContextManager[None]] = nullcontext

    @property
    def capacity(self) -> int:
        """Requests that may be in flight at most."""
        return sum(endpoint.concurrency for endpoint in self.endpoints)

    @asynccontextmanager
    async def endpoint(self, tokens: float) -> AsyncIterator[LimitedEndpoint]:
        """Hold a place at an endpoint for as long as the block lasts.

        Args:
            tokens: what the request is expected to use, prompt and reply together.

        Raises:
            InterruptedRunError: where the run stops before there is a place.
            FatalEndpointError: instead of the block's own error, where no endpoint is left to wait for, or
                all of them refuse everything alike.
        """
        endpoint = await self._get_endpoint(tokens)
        sent_at, number = endpoint.clock(), endpoint.verdict.send()
        refused: RejectedRequestError | None = None
        try:
            yield endpoint
        except RejectedRequestError as error:
            endpoint.note_error(error, sent_at)
            refused = error
        except BaseException as error:
            if not isinstance(error, EndpointError):
                endpoint.verdict.note_other(number)
                raise
            endpoint.note_error(error, sent_at)
            if error.kind != "garbage":
                endpoint.verdict.note_other(number)
                self._check_outage(error)
            elif self.answered_before:  # so it is no matter of the configuration
                endpoint.verdict.note_other(number)
            elif endpoint.verdict.note_garbage(number):
                raise self._exclude(
                    endpoint, f"{endpoint.label} replies to no request: {error.message}"
                ) from error
            raise
        else:
            endpoint.note_answer()
            endpoint.verdict.note_answer(number)
        finally:
            endpoint.in_flight -= 1
            self._hand_out()
        if refused is not None:
            raise await self._explain(refused, endpoint, number) from refused.__cause__

    def stop(self) -> None:
        """Send away all that wait, and all that come."""
        self._stopped = True
        for endpoint in self.endpoints:
            endpoint.verdict.stop()
        while self._waiting:
            _, future = self._waiting.popleft()
            if not future.done():
                future.set_exception(InterruptedRunError("the run is stopping"))

    async def close(self) -> None:
        """Close every endpoint's client."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
        for endpoint in self.endpoints:
            await endpoint.client.close()

    def conclude(self) -> None:
        """Have it decided what the refusals mean that wait: no further request will come."""
        for endpoint in self.endpoints:
            # Where another endpoint is left, a row may still be made there.
            endpoint.verdict.conclude(refuses_all=not self.answered_before or len(self._left()) > 1)

    async def _explain(
        self, refused: RejectedRequestError, endpoint: LimitedEndpoint, number: int
    ) -> EndpointError:
        """What a refusal means, once that is clear: the row's failure, the endpoint's, or the run's end."""
        async with self.aside():
            if not await endpoint.verdict.hold(number, refused):
                return refused
        return self._exclude(
            endpoint, f"{endpoint.label} refuses every request for the same reason: {refused.message}"
        )

    def _exclude(self, endpoint: LimitedEndpoint, message: str) -> EndpointError:
        """Go on with the other endpoints, or stop the run where there is none."""
        if not self._left():
            return FatalEndpointError(message, hint=REFUSES_ALL)
        if not endpoint.excluded:
            endpoint.excluded = True
            logger.warning("%s; the run continues on the other endpoints", message)
        return TransientEndpointError(message, kind="unavailable")

    def _left(self) -> list[LimitedEndpoint]:
        """Return the endpoints that do not refuse everything."""
        return [endpoint for endpoint in self.endpoints if not endpoint.verdict.refuses_all]

    async def _get_endpoint(self, tokens: float) -> LimitedEndpoint:
        if self._stopped:
            raise InterruptedRunError("the run is stopping")
        future: asyncio.Future[LimitedEndpoint] = asyncio.get_running_loop().create_future()
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
                wait, endpoint = min(
                    ((endpoint.wait(tokens), endpoint) for endpoint in self.endpoints), key=_by_wait_and_load
                )
                if wait > 0:
                    self._look_again_in(wait)
                    return
                endpoint.take(tokens)
                future.set_result(endpoint)
            self._waiting.popleft()

    def _look_again_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not math.isinf(seconds):  # else whoever comes back looks
            self._timer = asyncio.get_running_loop().call_later(seconds, self._hand_out)

    def _check_outage(self, error: EndpointError) -> None:
        """Endpoints that give no reply are rested and tried again; but not for ever."""
        endpoints = self._left()
        since = [endpoint.silent_since for endpoint in endpoints if endpoint.silent_since is not None]
        if not isinstance(error, TransientEndpointError) or not since or len(since) < len(endpoints):
            return
        is_down = all(endpoint.down_since is not None for endpoint in endpoints)
        where = ", ".join(endpoint.label for endpoint in endpoints)
        if is_down and error.kind == "connection" and not any(endpoint.answered for endpoint in endpoints):
            hint = "start the server, or correct base_url in the recipe"
            raise FatalEndpointError(f"no server answers at {where}: {error.message}", hint=hint) from error
        silence = self.endpoints[0].clock() - max(since)
        if silence > (OUTAGE_PATIENCE if is_down else LIMIT_PATIENCE):
            message = f"no reply from {where} for {silence / 60:.0f} minutes: {error.message}"
            raise FatalEndpointError(message, hint="run again once it answers") from error


def _by_wait_and_load(found: tuple[float, LimitedEndpoint]) -> tuple[float, bool, float]:
    """Soonest, then the one that answers: a row is not spent on an endpoint that may be down."""
    wait, endpoint = found
    return wait, endpoint.failing, endpoint.load
