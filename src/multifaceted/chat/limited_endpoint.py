"""One endpoint under its limits: how many requests it takes now, and how soon it takes the next.

Three things hold a request back. The paces, where budgets per minute are known. The window, the number of
requests in flight: it doubles until the endpoint first says 429, from then on it shrinks by a factor at
each 429 and grows by steps (AIMD, as TCP does; Jacobson 1988). And a rest: until Retry-After is over, or,
after failures in a row, for a time that doubles until a single request gets through.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from multifaceted.chat.client import ChatClient
from multifaceted.chat.limits import Pace, read_limit
from multifaceted.chat.verdict import Verdict
from multifaceted.errors import EndpointError

FIRST_WINDOW = 16  # requests in flight before anything is known of an endpoint
ISOLATED = 0.12  # share of 429s among recent answers, below which they concern single requests
RECENT = 100  # answers over which that share is taken
SHRINK = 0.7  # of what is in flight, at a 429
GROW = 0.02  # of the concurrency, regained each second; but at least half a request
LONGEST_PAUSE = 120.0  # seconds, even where Retry-After says an hour
DEFAULT_PAUSE = 1.0  # seconds, where a 429 does not say how long
REQUESTS_HELD = 0.5  # seconds' worth of the request budget that may go out at once
TOKENS_HELD = 5.0  # the same of the token budget: single requests are large
DOWN_AFTER = 3  # failures in a row that mean the endpoint is down, not the request
LONGEST_REST = 30.0  # seconds between two tries of an endpoint that is down
DOWN_KINDS = ("connection", "timeout", "unavailable")


@dataclass
class LimitedEndpoint:
    """An endpoint's client, and what is known of its limits."""

    client: ChatClient
    label: str  # what people call it: the base URL
    concurrency: int  # requests in flight at most
    # The budget of requests per minute
    requests: Pace = field(default_factory=lambda: Pace(None, REQUESTS_HELD))
    tokens: Pace = field(default_factory=lambda: Pace(None, TOKENS_HELD))  # the budget of tokens per minute
    first_rest: float = 1.0  # seconds that an endpoint is left alone when it is found to be down
    clock: Callable[[], float] = time.monotonic  # seconds, from whenever

    def __post_init__(self) -> None:
        self.in_flight = 0
        self.verdict = Verdict()
        self.excluded = False  # and people were told: it refuses everything for the same reason
        self.answered = False  # whether it ever did
        self.down_since: float | None = None  # then one request at a time goes out, to see
        self.silent_since: float | None = None  # when it first failed or refused, with no reply since
        self._window = float(min(FIRST_WINDOW, self.concurrency))
        self._shrunk_at: float | None = None
        self._grown_at = -math.inf
        self._paused_until = -math.inf
        self._paced_until = -math.inf
        self._failures = 0
        self._refused = 0.0  # share of 429s among recent answers
        self._pause_reason = ""

    @property
    def load(self) -> float:
        """Share of its window that is in flight."""
        return self.in_flight / self._window

    @property
    def failing(self) -> bool:
        """Return whether its last request met nobody there."""
        return self._failures > 0

    def wait(self, tokens: float) -> float:
        """Seconds until it takes a request of so many tokens; infinite until one in flight comes back."""
        now = self.clock()
        if self.verdict.refuses_all:  # it refuses everything
            return math.inf
        if self.in_flight >= (1 if self.down_since is not None else int(self._window)):
            return math.inf
        paced = max(self.requests.wait(1, now), self.tokens.wait(tokens, now))
        if paced:
            self._paced_until = max(self._paced_until, now + paced)
        return max(self._paused_until - now, paced, 0.0)

    def take(self, tokens: float) -> None:
        """Count a request as in flight."""
        self.in_flight += 1
        self.requests.spend(1)
        self.tokens.spend(tokens)

    def settle(self, expected: float, used: float) -> None:
        """Correct the token budget once it is known what a request came to."""
        self.tokens.spend(used - expected)

    def read_headers(self, headers: Mapping[str, str]) -> None:
        """Learn budgets from any answer."""
        for pace, what in ((self.requests, "requests"), (self.tokens, "tokens")):
            limit = read_limit(headers, what)
            if limit is not None:
                pace.learn(limit, self.clock())

    def note_answer(self) -> None:
        """A request got a reply: it works, and may be asked a little more at once."""
        self.answered, self._failures = True, 0
        self.down_since = self.silent_since = None
        self._refused -= self._refused / RECENT
        now = self.clock()
        passed, self._grown_at = min(now - self._grown_at, 1.0), now
        step = 1.0 if self._shrunk_at is None else max(0.5, GROW * self.concurrency) * passed
        # A window that is not used says nothing about a larger one.
        if self.in_flight >= int(self._window) / 2:
            self._window = min(self._window + step, self.concurrency)

    def note_error(self, error: EndpointError, sent_at: float) -> None:
        """A request got an error: pause, shrink or rest, as its kind asks for."""
        now = self.clock()
        if error.kind in DOWN_KINDS:
            self.silent_since = now if self.silent_since is None else self.silent_since
            self._note_failure(error, sent_at, now)
            return
        self.answered, self._failures, self.down_since = True, 0, None
        if error.kind == "rate_limited":
            self.silent_since = now if self.silent_since is None else self.silent_since
            self._note_limit(error.retry_after, sent_at, now)
        else:
            self.silent_since = None

    def describe(self) -> str:
        """Return the limit in force and why, for people."""
        now = self.clock()
        if self.verdict.refuses_all:
            return "left out: it refuses everything"
        if self._paused_until > now:
            return f"waits {self._paused_until - now:.0f} s ({self._pause_reason})"
        if self.down_since is not None:
            return f"tries one request ({self._pause_reason})"
        if now - self._paced_until < 1.0:
            told = (("requests", self.requests), ("tokens", self.tokens))
            budgets = [f"{p.per_minute:,.0f} {what}/min ({p.source})" for what, p in told if p.per_minute]
            return " and ".join(budgets)
        why = "429s" if self._shrunk_at is not None and self._window < self.concurrency else "recipe"
        if self._shrunk_at is None and self._window < self.concurrency:
            why = "starting"
        return f"{int(self._window)} at once ({why})"

    def _note_limit(self, retry_after: float, sent_at: float, now: float) -> None:
        self._refused += (1 - self._refused) / RECENT
        is_paced = now - self._paced_until < 1.0
        if self._refused < ISOLATED and not is_paced:
            return  # an overloaded server refuses some requests now and then; those wait, and no other
        pause = min(retry_after, LONGEST_PAUSE) or DEFAULT_PAUSE
        self._paused_until = max(self._paused_until, now + pause)
        self._pause_reason = "Retry-After" if retry_after else "429"
        if self._shrunk_at is not None and sent_at < self._shrunk_at:
            return  # sent before we last slowed down: it says nothing new
        if is_paced:
            self.requests.slow_down(now)
            self.tokens.slow_down(now)
        else:
            self._window = max(1.0, SHRINK * min(self.in_flight, self._window))
        self._shrunk_at = now

    def _note_failure(self, error: EndpointError, sent_at: float, now: float) -> None:
        if error.retry_after:
            self._paused_until = max(self._paused_until, now + min(error.retry_after, LONGEST_PAUSE))
            self._pause_reason = "Retry-After"
        if self.down_since is not None and sent_at <= self.down_since:
            return  # sent before it was found to be down: it says nothing new
        self._failures += 1
        if self._failures < DOWN_AFTER:
            return
        if self.down_since is None:
            self.down_since = now
        beyond = self._failures - DOWN_AFTER
        if self._paused_until <= now:
            self._paused_until = now + min(LONGEST_REST, self.first_rest * 2.0 ** min(beyond, 20))
            self._pause_reason = error.kind
