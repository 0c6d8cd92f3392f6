"""Rate limits as OpenAI enforces and reports them: two token buckets and their headers.

Example:
    limits.admit(requests_per_minute=600, tokens_per_minute=None, tokens=0)  # None, or "requests"
"""

import math
import time
from collections.abc import Callable
from typing import Literal

SECONDS_OF_REQUESTS = 1.0
SECONDS_OF_TOKENS = 5.0


class TokenBucket:
    """Holds `seconds` worth of a limit and starts full. The limit is told at each look, so it may change.

    What costs more than the bucket holds is let in when the bucket is full and leaves it below zero: the
    limit holds over time, and nothing has to wait for ever.

    Args:
        seconds: how much of the limit the bucket holds.
        clock: seconds, from any start.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute: float | None = None
        self._seconds, self._clock = seconds, clock
        self._level, self._seen = math.inf, clock()

    @property
    def capacity(self) -> float:
        """Return what a full bucket holds; without a limit there is no end to it."""
        return math.inf if self.per_minute is None else self.per_minute / 60 * self._seconds

    @property
    def remaining(self) -> int:
        """Whole units that may be spent now."""
        return max(0, math.floor(self._level))

    @property
    def seconds_to_full(self) -> float:
        """Return how long until the bucket is full again: what OpenAI calls the reset."""
        if not self.per_minute:
            return 0.0
        return (self.capacity - self._level) / (self.per_minute / 60)

    def refill(self, per_minute: float | None) -> None:
        """Bring the level up to now, under this limit; None sets no limit."""
        now = self._clock()
        earned = 0.0 if per_minute is None else (now - self._seen) * per_minute / 60
        self.per_minute, self._seen = per_minute, now
        self._level = math.inf if per_minute is None else min(self.capacity, self._level + earned)

    def holds(self, cost: float) -> bool:
        """Return whether `cost` may be spent now. A limit of zero lets nothing in."""
        return self.capacity > 0 and self._level >= min(cost, self.capacity)

    def spend(self, cost: float) -> None:
        """Take `cost` out."""
        self._level -= cost


class RateLimits:
    """Requests and tokens per minute of one server."""

    def __init__(self) -> None:
        self._requests = TokenBucket(SECONDS_OF_REQUESTS)
        self._tokens = TokenBucket(SECONDS_OF_TOKENS)

    def admit(
        self, *, requests_per_minute: float | None, tokens_per_minute: float | None, tokens: int
    ) -> Literal["requests", "tokens"] | None:
        """Let one request in and charge both limits, or name the one it exceeds and charge none."""
        self._requests.refill(requests_per_minute)
        self._tokens.refill(tokens_per_minute)
        if not self._requests.holds(1):
            return "requests"
        if not self._tokens.holds(tokens):
            return "tokens"
        self._requests.spend(1)
        self._tokens.spend(tokens)
        return None

    def headers(self) -> dict[str, str]:
        """Return the `x-ratelimit-*` headers as of the last request; none for what has no limit."""
        found: dict[str, str] = {}
        for name, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket.per_minute is not None:
                found[f"x-ratelimit-limit-{name}"] = f"{bucket.per_minute:.0f}"
                found[f"x-ratelimit-remaining-{name}"] = str(bucket.remaining)
                found[f"x-ratelimit-reset-{name}"] = format_duration(bucket.seconds_to_full)
        return found


def describe_wait(seconds: float | None) -> dict[str, str]:
    """The headers that go with HTTP 429: milliseconds, and whole seconds for clients that know no better."""
    if seconds is None:
        return {}
    return {"retry-after-ms": f"{seconds * 1000:.0f}", "retry-after": str(math.ceil(seconds))}


def format_duration(seconds: float) -> str:
    """A duration as OpenAI writes it in headers: `20ms`, `1.5s`, `6m0s`, `1h0m0s`; to the millisecond."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:  # noqa: PLR2004
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
