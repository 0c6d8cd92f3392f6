"""How often a request is asked again, and how long it waits before: what tenacity goes by."""

import random
import time

from tenacity import RetryCallState
from tenacity.stop import stop_base
from tenacity.wait import wait_exponential_jitter

from multifaceted.errors import TransientEndpointError

LONGEST_WAIT = 60.0  # seconds between two attempts of one request


class StopAsking(stop_base):
    """Stops after so many attempts, or so much time. Those that met a rate limit count for neither."""

    def __init__(self, attempts: int, seconds: float) -> None:
        self._left = attempts
        self._seconds = seconds
        self._first: float | None = None

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Return whether the last attempt was the last one."""
        if error_of(retry_state).kind == "rate_limited":
            return False
        now = time.monotonic()
        self._first = now if self._first is None else self._first
        self._left -= 1
        return self._left <= 0 or now - self._first > self._seconds


class WaitBeforeRetry(wait_exponential_jitter):
    """Waits, growing and jittered. After a rate limit the endpoint's queue does the waiting for all."""

    def __init__(self, first: float) -> None:
        super().__init__(multiplier=first, max=LONGEST_WAIT, jitter=first)
        self._first = first

    def __call__(self, retry_state: RetryCallState) -> float:
        """Seconds before the next attempt."""
        error = error_of(retry_state)
        if error.kind == "rate_limited":
            return min(error.retry_after, LONGEST_WAIT) + random.uniform(0, self._first)  # noqa: S311 - no secret
        return super().__call__(retry_state)


def error_of(state: RetryCallState) -> TransientEndpointError:
    """Return the error that the last attempt met."""
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, TransientEndpointError)  # noqa: S101 - nothing else is tried again
    return error
