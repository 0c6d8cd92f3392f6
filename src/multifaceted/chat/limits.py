"""Budgets of requests or tokens per minute: `Pace` says how long the next one has to wait.

The budget comes from the recipe, or from the `x-ratelimit-*` headers of answers, whichever is smaller. A
library's limiter (aiolimiter, pyrate-limiter) has a rate that is fixed when it is made; ours is learned
while a run is at work, follows the endpoint, and takes back what a reply did not use.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

# Share of a budget that is used. The endpoint's clock and ours differ, and requests arrive unevenly.
HEADROOM = 0.98
SLOWER = 0.8  # a 429 in spite of the pace: somebody else uses the same budget
SLOWEST = 0.1  # of the full pace: a run of 429s must not make the next wait endless
RECOVERY = 0.01  # of the full pace, regained each second

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


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
            self._level = min(self._level - amount, self._capacity)

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


def read_limit(headers: Mapping[str, str], what: str) -> float | None:
    """The budget per minute of "requests" or "tokens" in an answer's headers; None where it is not said.

    A budget that takes longer than a minute to come back is one per day, which pacing cannot serve: it is
    used as fast as it goes, until the endpoint says 429.
    """
    try:
        limit = float(headers[f"x-ratelimit-limit-{what}"])
    except (KeyError, ValueError):
        return None
    reset = headers.get(f"x-ratelimit-reset-{what}", "")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(reset))
    return limit if 0 < limit < math.inf and seconds <= _SECONDS["m"] else None
