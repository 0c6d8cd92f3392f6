"""Budgets of requests or tokens per minute: `Pace` says how long the next one has to wait.

The budget comes from the recipe, or from the `x-ratelimit-*` headers of answers, whichever is smaller. A
library's limiter (aiolimiter, pyrate-limiter) has a rate that is fixed when it is made; ours is learned
while a run is at work, follows the endpoint, and takes back what a reply did not use.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from multifaceted.chat.retry_after import read_seconds

# Share of a budget that is used. The endpoint's clock and ours differ, and requests arrive unevenly.
HEADROOM = 0.98
SLOWER = 0.8  # a 429 in spite of the pace: somebody else uses the same budget
SLOWEST = 0.1  # of the full pace: a run of 429s must not make the next wait endless
MINUTE = 60.0  # seconds
RECOVERY = 0.01  # of the full pace, regained each second

LEAST = {"requests": 1.0, "tokens": 1000.0}  # a minute, in headers; who has less to give serves nobody
MOST = 1e9  # and with more there is nothing to keep to
MOST_OWED = 2.0  # minutes' worth of a budget from headers that a request may run up: they may be wrong

# The IETF's "60, 60;w=60": so many in w seconds.
_POLICY = re.compile(r"(?:^|,)\s*(\d{1,12})\s*(?:;[^,]*)?;\s*w=(\d{1,9})", re.ASCII)
_BUDGET = re.compile(r"\d{1,15}(?:\.\d{1,15})?", re.ASCII)


@dataclass
class Pace:
    """A token bucket that holds `hold` seconds' worth of its budget."""

    per_minute: float | None  # the recipe's budget; None where it sets none
    hold: float  # seconds; what was not used is kept for at most so long

    def __post_init__(self) -> None:
        self.source = "recipe" if self.per_minute else ""
        self._given = self.per_minute or math.inf
        self._level = self._capacity
        self._factor = 1.0
        self._seen = 0.0  # when level and factor were true

    def learn(self, per_minute: float, now: float) -> None:
        """Follow what the endpoint says; the recipe's budget stands where it is smaller."""
        per_minute = min(per_minute, self._given)
        if per_minute == self.per_minute:
            return
        if self.per_minute is None:
            self._level, self._seen = 0.0, now  # what was sent before it was known has used some of it
        self.per_minute, self.source = per_minute, "recipe" if per_minute == self._given else "headers"
        self._advance(now)

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be spent. More than the bucket holds waits for a full one."""
        if self.per_minute is None:
            return 0.0
        self._advance(now)
        missing = min(amount, self._capacity) - self._level
        return missing / self._rate if missing > 0 else 0.0

    def spend(self, amount: float) -> None:
        """Take `amount` out, or put it back where it is negative. The level may fall below zero."""
        if self.per_minute is not None:
            owed = -math.inf if self.source == "recipe" else -MOST_OWED * self.per_minute
            self._level = min(max(self._level - amount, owed), self._capacity)

    def slow_down(self, now: float) -> None:
        """The endpoint refused though we kept to the budget."""
        if self.per_minute is not None:
            self._advance(now)
            self._factor = max(SLOWEST, self._factor * SLOWER)

    @property
    def _rate(self) -> float:
        return (self.per_minute or 0.0) / 60 * HEADROOM * self._factor

    @property
    def _capacity(self) -> float:
        return max(1.0, (self.per_minute or 0.0) / 60 * self.hold)

    def _advance(self, now: float) -> None:
        passed, self._seen = now - self._seen, now
        self._factor = min(1.0, self._factor + RECOVERY * passed)
        self._level = min(self._capacity, self._level + self._rate * passed)


def read_limit(headers: Mapping[str, str], what: str, *, now: float | None = None) -> float | None:
    """The budget per minute of "requests" or "tokens" in an answer's headers; None where it is not said.

    A budget that takes longer than a minute to come back is one per day, which pacing cannot serve: it is
    used as fast as it goes, until the endpoint says 429.

    Args:
        headers: of any answer.
        what: "requests" or "tokens".
        now: seconds since 1970; this machine's clock by default.
    """
    limit, reset = (headers.get(f"x-ratelimit-{part}-{what}", "") for part in ("limit", "reset"))
    if what == "requests" and not limit:  # Anthropic's tokens are counted apart for prompt and reply
        limit, reset = (
            headers.get(f"anthropic-ratelimit-requests-{part}", "") for part in ("limit", "reset")
        )
    budget = _read_budget(limit)
    if not LEAST[what] <= budget <= MOST:
        return None
    seconds = read_seconds(reset, time.time() if now is None else now) if reset else None
    return budget if (seconds or 0.0) <= MINUTE else None


def _read_budget(value: str) -> float:
    value = value[:200].strip()
    windows = [(float(number), float(seconds)) for number, seconds in _POLICY.findall(value)]
    if windows:
        return min((MINUTE / width * number for number, width in windows if 0 < width <= MINUTE), default=0.0)
    return float(value) if _BUDGET.fullmatch(value) else 0.0
