"""One endpoint under its limits, in simulated time: window, pauses, rests, and what is said of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SilentClient, SimulatedClock

from multifaceted.chat.limited_endpoint import (
    DEFAULT_PAUSE,
    LONGEST_PAUSE,
    LONGEST_REST,
    REQUESTS_HELD,
    LimitedEndpoint,
)
from multifaceted.chat.limits import Pace
from multifaceted.chat.policy import translate_refusal
from multifaceted.errors import FailureKind, FatalEndpointError, TransientEndpointError

MANY = 20  # 429s that are no chance any more


class Traffic:
    """An endpoint with a clock, and short words for what happens at its endpoint."""

    def __init__(
        self, concurrency: int = 64, *, requests: float | None = None, tokens: float | None = None
    ) -> None:
        self.clock = SimulatedClock()
        self.endpoint = LimitedEndpoint(
            SilentClient(),
            "http://127.0.0.1/v1",
            concurrency,
            Pace(requests, REQUESTS_HELD),
            Pace(tokens, 5.0),
            first_rest=1.0,
            clock=self.clock,
        )

    def fill(self) -> int:
        """Send as much as the endpoint takes now; gives how much is in flight then."""
        while self.endpoint.wait(1) == 0:
            self.endpoint.take(1)
        return self.endpoint.in_flight

    def reply(self) -> None:
        self.endpoint.note_answer()
        self.endpoint.in_flight -= 1

    def reply_to_all(self) -> None:
        while self.endpoint.in_flight:
            self.reply()

    def fail(
        self, kind: FailureKind = "connection", *, retry_after: float = 0.0, sent_at: float | None = None
    ) -> None:
        error = TransientEndpointError("no reply", kind=kind, retry_after=retry_after)
        self.endpoint.note_error(error, self.clock.now if sent_at is None else sent_at)
        self.endpoint.in_flight -= 1

    def refuse_all(self, *, retry_after: float = 0.0) -> None:
        """Everything in flight gets a 429, a little later than it was sent."""
        sent_at = self.clock.now
        while self.endpoint.in_flight:
            self.clock.now += 0.001
            self.fail("rate_limited", retry_after=retry_after, sent_at=sent_at)

    def serve(self, seconds: float) -> int:
        """Ten rounds of replies a second, all places taken; gives how many are in flight in the end."""
        for _ in range(round(seconds * 10)):
            self.clock.now += 0.1
            for _ in range(self.endpoint.in_flight):
                self.reply()
                self.fill()
        return self.endpoint.in_flight


def grown(concurrency: int = 64) -> Traffic:
    """An endpoint that has come to its ceiling."""
    traffic = Traffic(concurrency)
    traffic.fill()
    traffic.serve(1.0)
    assert traffic.endpoint.in_flight == concurrency
    return traffic


def test_the_window_doubles_with_each_round_of_replies_up_to_the_ceiling() -> None:
    traffic = Traffic(100)
    widths = [traffic.fill()]
    for _ in range(4):
        for _ in range(traffic.endpoint.in_flight):
            traffic.reply()
            traffic.fill()
        widths.append(traffic.endpoint.in_flight)
    assert widths == [16, 32, 64, 100, 100]


def test_a_window_that_is_not_used_does_not_grow() -> None:
    traffic = Traffic(100)
    for _ in range(200):
        traffic.endpoint.take(1)
        traffic.reply()
    assert traffic.fill() == 16


@pytest.mark.parametrize("concurrency", [1, 2, 15])
def test_a_ceiling_below_the_first_window_holds_from_the_start(concurrency: int) -> None:
    traffic = Traffic(concurrency)
    assert traffic.fill() == concurrency
    assert traffic.endpoint.wait(1) == math.inf
    assert traffic.serve(5.0) == concurrency


def test_a_few_429s_among_many_answers_hold_nothing_back() -> None:
    traffic = grown()
    for _ in range(100):
        traffic.fail("rate_limited", retry_after=60.0)
        traffic.fill()
        for _ in range(19):
            traffic.reply()
            traffic.fill()
    assert traffic.endpoint.in_flight == 64


def test_a_burst_of_429s_shrinks_the_window_once() -> None:
    traffic = grown()
    traffic.refuse_all()
    traffic.clock.now += 2 * DEFAULT_PAUSE
    assert 0.7 * 0.7 * 64 < traffic.fill() < 0.75 * 64


def test_429s_to_what_was_sent_after_the_last_shrink_shrink_it_again() -> None:
    traffic = grown()
    widths = [64]
    for _ in range(12):
        traffic.refuse_all()
        traffic.clock.now += 2 * DEFAULT_PAUSE
        widths.append(traffic.fill())
    assert widths == sorted(widths, reverse=True)
    assert widths[:4] == sorted(set(widths[:4]), reverse=True)
    assert widths[-1] == 1


def test_a_window_that_was_shrunk_grows_by_steps_in_time_and_not_by_the_number_of_replies() -> None:
    traffic = grown()
    traffic.refuse_all()
    traffic.clock.now += 2 * DEFAULT_PAUSE
    width = traffic.fill()
    assert traffic.serve(10.0) == pytest.approx(width + 0.02 * 64 * 10, abs=2)
    assert traffic.serve(60.0) == 64


def test_a_small_window_grows_again_too() -> None:
    traffic = grown(4)
    for _ in range(MANY):
        traffic.refuse_all()
        traffic.clock.now += 2 * DEFAULT_PAUSE
        traffic.fill()
    assert traffic.endpoint.in_flight == 1
    assert traffic.serve(10.0) == 4


def test_retry_after_pauses_the_whole_endpoint() -> None:
    traffic = grown()
    traffic.refuse_all(retry_after=7.0)
    assert traffic.endpoint.wait(1) == pytest.approx(7.0)
    traffic.clock.now += 6.9
    assert traffic.endpoint.wait(1) == pytest.approx(0.1)
    traffic.clock.now += 0.2
    assert traffic.endpoint.wait(1) == 0


def test_a_429_that_names_no_time_pauses_for_a_moment() -> None:
    traffic = grown()
    traffic.refuse_all()
    assert traffic.endpoint.wait(1) == pytest.approx(DEFAULT_PAUSE)


def test_a_retry_after_of_an_hour_is_not_waited_for_in_one_go() -> None:
    traffic = grown()
    traffic.refuse_all(retry_after=3600.0)
    assert traffic.endpoint.wait(1) == pytest.approx(LONGEST_PAUSE)


def test_a_later_and_shorter_retry_after_does_not_cut_a_pause_short() -> None:
    traffic = grown()
    sent_at = traffic.clock.now
    for _ in range(MANY):
        traffic.fail("rate_limited", retry_after=60.0, sent_at=sent_at)
    traffic.fail("rate_limited", retry_after=1.0, sent_at=sent_at)
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.wait(1) == pytest.approx(60.0)


def test_a_429_in_spite_of_a_pace_slows_the_pace_down_and_leaves_the_window() -> None:
    traffic = Traffic(16, requests=6000)
    traffic.fill()
    traffic.reply_to_all()
    traffic.endpoint.requests.spend(50)
    usual = traffic.endpoint.wait(1)
    assert usual > 0
    traffic.endpoint.take(1)
    traffic.fail("rate_limited", retry_after=0.001)
    traffic.clock.now += 0.002
    assert traffic.endpoint.wait(1) > usual
    traffic.clock.now += 60
    assert traffic.fill() == 16


def test_budgets_are_learned_from_the_headers_of_any_answer() -> None:
    traffic = Traffic()
    headers = {"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "90000"}
    traffic.endpoint.read_headers(headers)
    assert (traffic.endpoint.requests.per_minute, traffic.endpoint.tokens.per_minute) == (600, 90_000)
    assert traffic.endpoint.wait(3000) > traffic.endpoint.wait(1) > 0


def test_a_request_waits_for_whichever_budget_is_scarcer() -> None:
    traffic = Traffic(requests=600, tokens=6000)
    assert traffic.endpoint.wait(500) == 0
    traffic.endpoint.take(500)
    assert traffic.endpoint.wait(100) == pytest.approx(100 / (100 * 0.98))
    traffic.endpoint.settle(expected=500, used=100)
    assert traffic.endpoint.wait(100) == 0
    traffic.endpoint.settle(expected=100, used=700)
    assert traffic.endpoint.wait(100) == pytest.approx(300 / (100 * 0.98))


def test_three_failures_in_a_row_make_it_rest_and_fewer_do_not() -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(5):
        traffic.fail()
        traffic.fail()
        traffic.reply()
    assert traffic.endpoint.down_since is None
    assert traffic.endpoint.wait(1) == 0
    for _ in range(3):
        traffic.endpoint.take(1)
        traffic.fail()
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.down_since == traffic.clock.now
    assert traffic.endpoint.wait(1) == pytest.approx(1.0)


@pytest.mark.parametrize("at_once", [3, 16])
def test_rests_double_and_one_request_at_a_time_tries(at_once: int) -> None:
    traffic = Traffic()
    sent_at = traffic.clock.now
    traffic.fill()
    for _ in range(at_once):  # in flight together, so they are one try
        traffic.clock.now += 0.01
        traffic.fail(sent_at=sent_at)
    traffic.endpoint.in_flight = 0
    rests = []
    for _ in range(7):
        rests.append(round(traffic.endpoint.wait(1), 1))
        traffic.clock.now += traffic.endpoint.wait(1)
        traffic.endpoint.take(1)
        assert traffic.endpoint.wait(1) == math.inf
        traffic.clock.now += 0.01
        traffic.fail(sent_at=traffic.clock.now - 0.01)
    assert rests[0] == pytest.approx(1.0, abs=0.2)
    assert rests[1:] == [2.0, 4.0, 8.0, 16.0, LONGEST_REST, LONGEST_REST]


def test_old_requests_that_time_out_while_it_rests_make_the_rest_no_longer() -> None:
    traffic = Traffic()
    sent_at = traffic.clock.now
    traffic.fill()
    for _ in range(10):
        traffic.clock.now += 1.5  # the rest is over each time
        traffic.fail("timeout", sent_at=sent_at)
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.wait(1) <= 1.0


def test_the_first_reply_ends_a_rest_for_good() -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(3):
        traffic.fail()
    traffic.endpoint.in_flight = 0
    traffic.clock.now += 2.0
    traffic.endpoint.take(1)
    traffic.reply()
    assert traffic.fill() == 16
    assert traffic.endpoint.silent_since is None


@pytest.mark.parametrize("kind", ["connection", "timeout", "unavailable"])
def test_it_is_down_where_nobody_answers(kind: FailureKind) -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(3):
        traffic.fail(kind)
    assert traffic.endpoint.down_since is not None
    assert traffic.endpoint.silent_since is not None


@pytest.mark.parametrize("kind", ["server_error", "garbage", "rate_limited"])
def test_an_endpoint_that_answers_with_errors_is_not_down(kind: FailureKind) -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(10):
        traffic.fail(kind)
    assert traffic.endpoint.down_since is None
    assert traffic.endpoint.answered
    assert (traffic.endpoint.silent_since is None) == (kind != "rate_limited")


def test_a_500_between_failures_shows_that_somebody_is_there() -> None:
    traffic = Traffic()
    traffic.fill()
    kinds: list[FailureKind] = ["connection", "connection", "server_error", "connection", "connection"]
    for kind in kinds:
        traffic.fail(kind)
    assert traffic.endpoint.down_since is None


def test_a_wrong_key_is_an_answer_too() -> None:
    traffic = Traffic()
    traffic.endpoint.take(1)
    traffic.endpoint.note_error(FatalEndpointError("HTTP 401"), traffic.clock.now)
    assert traffic.endpoint.answered


@pytest.mark.parametrize("status", [503, 529, 522])
@pytest.mark.parametrize("said", ["inf", "1e308", "nan", "-5", "Fri, 31 Dec 9999 23:59:59 GMT", "soon"])
def test_an_endpoint_that_is_down_is_tried_again_whatever_it_says_of_waiting(status: int, said: str) -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(3):
        error = translate_refusal(status, {"retry-after": said}, "")
        traffic.endpoint.note_error(error, traffic.clock.now)
        traffic.endpoint.in_flight -= 1
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.down_since is not None
    assert 0 < traffic.endpoint.wait(1) <= 1.0  # as if it had said nothing
    assert traffic.endpoint.describe()


@pytest.mark.parametrize("limit", ["0", "-1", "inf", "1", "1e308", "60, 60;w=60", "1000000"])
@pytest.mark.parametrize("reset", ["", "1d", "inf", "-1", "2026-10-21T07:28:00Z", "1792567680"])
def test_no_header_of_limits_brings_an_endpoint_to_a_halt(limit: str, reset: str) -> None:
    traffic = Traffic()
    headers = {
        f"x-ratelimit-{part}-{what}": value
        for what in ("requests", "tokens")
        for part, value in (("limit", limit), ("reset", reset))
    }
    for _ in range(5):
        traffic.endpoint.read_headers(headers)
        traffic.clock.now += traffic.endpoint.wait(2000)
        traffic.endpoint.take(2000)
        traffic.reply()
        assert traffic.endpoint.wait(2000) <= LONGEST_PAUSE
        assert len(traffic.endpoint.describe()) < 100


def test_a_503_that_names_a_time_rests_for_it() -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(3):
        traffic.fail("unavailable", retry_after=20.0)
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.wait(1) == pytest.approx(20.0)


KINDS: list[FailureKind | None] = [  # None: a reply
    None,
    "rate_limited",
    "connection",
    "timeout",
    "server_error",
    "unavailable",
]


@given(
    concurrency=st.integers(1, 40),
    events=st.lists(st.tuples(st.sampled_from(KINDS), st.floats(0, 20), st.floats(0, 500)), max_size=80),
)
def test_whatever_happens_the_ceiling_holds_and_an_idle_lane_takes_a_request_before_long(
    concurrency: int, events: list[tuple[FailureKind | None, float, float]]
) -> None:
    traffic = Traffic(concurrency)
    for kind, passed, retry_after in events:
        sent_at = traffic.clock.now
        assert traffic.fill() <= concurrency
        traffic.clock.now += passed
        if not traffic.endpoint.in_flight:
            continue
        if kind is None:
            traffic.reply()
        else:
            traffic.fail(kind, retry_after=retry_after, sent_at=sent_at)
        assert traffic.endpoint.describe()
    traffic.endpoint.in_flight = 0
    assert traffic.endpoint.wait(1) <= max(LONGEST_PAUSE, LONGEST_REST) + 1e-6


def test_it_says_that_it_is_starting_and_then_that_the_recipe_bounds_it() -> None:
    traffic = Traffic()
    assert traffic.endpoint.describe() == "16 at once (starting)"
    assert grown().endpoint.describe() == "64 at once (recipe)"
    assert Traffic(8).endpoint.describe() == "8 at once (recipe)"


def test_it_says_how_long_429s_make_it_wait_and_what_they_leave_it() -> None:
    traffic = grown()
    traffic.refuse_all(retry_after=7.0)
    assert traffic.endpoint.describe() == "waits 7 s (Retry-After)"
    traffic.clock.now += 7.1
    width = traffic.fill()
    assert traffic.endpoint.describe() == f"{width} at once (429s)"
    unnamed = grown()
    unnamed.refuse_all()
    assert unnamed.endpoint.describe() == "waits 1 s (429)"


def test_it_says_which_budget_paces_it_and_where_that_is_from() -> None:
    traffic = Traffic(requests=1200)
    assert traffic.endpoint.describe() == "16 at once (starting)"
    traffic.fill()
    assert traffic.endpoint.describe() == "1,200 requests/min (recipe)"
    traffic.endpoint.read_headers({"x-ratelimit-limit-requests": "600", "x-ratelimit-limit-tokens": "90000"})
    traffic.reply_to_all()
    traffic.fill()
    assert traffic.endpoint.describe() == "600 requests/min (headers) and 90,000 tokens/min (headers)"


def test_it_says_that_it_is_paced_for_as_long_as_a_slow_pace_makes_it_wait() -> None:
    traffic = Traffic(requests=6)
    traffic.fill()
    assert traffic.endpoint.wait(1) == pytest.approx(10 / 0.98)
    traffic.clock.now += 8.0
    assert traffic.endpoint.describe() == "6 requests/min (recipe)"


def test_it_says_why_it_rests_and_that_it_tries_one_request() -> None:
    traffic = Traffic()
    traffic.fill()
    for _ in range(3):
        traffic.fail("timeout")
    assert traffic.endpoint.describe() == "waits 1 s (timeout)"
    traffic.clock.now += 1.1
    assert traffic.endpoint.describe() == "tries one request (timeout)"
    traffic.reply()
    assert traffic.endpoint.describe() == "17 at once (starting)"
