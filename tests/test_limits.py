"""Paces: what may be sent under a budget per minute, in simulated time, and how budgets are learned."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedClock

from multifaceted.chat.limits import HEADROOM, Pace, read_limit

MINUTE = 60.0
BUDGETS = st.floats(min_value=1, max_value=20_000)
HOLDS = st.floats(min_value=0.1, max_value=10)
ARRIVALS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 500)), min_size=1, max_size=40)
ENOUGH = 1e-6  # of a second: more than rounding can matter


def spend_when_allowed(pace: Pace, amount: float, clock: SimulatedClock) -> None:
    while wait := pace.wait(amount, clock.now):
        clock.now += wait + ENOUGH
    pace.spend(amount)


def count_sent(pace: Pace, clock: SimulatedClock, seconds: float) -> int:
    """Requests that go out in so many seconds where there is no end of them."""
    sent, until = 0, clock.now + seconds
    while clock.now + pace.wait(1, clock.now) <= until:
        spend_when_allowed(pace, 1, clock)
        sent += 1
    clock.now = until
    return sent


def count_at_once(pace: Pace, clock: SimulatedClock) -> int:
    sent = 0
    while pace.wait(1, clock.now) == 0:
        pace.spend(1)
        sent += 1
    return sent


@given(per_minute=BUDGETS, hold=HOLDS, arrivals=ARRIVALS)
def test_no_pattern_of_arrivals_sends_more_than_the_budget_in_any_stretch_of_time(
    per_minute: float, hold: float, arrivals: list[tuple[float, float]]
) -> None:
    clock, pace = SimulatedClock(), Pace(per_minute, hold)
    sent: list[tuple[float, float]] = []
    for gap, amount in arrivals:
        clock.now += gap
        spend_when_allowed(pace, amount, clock)
        sent.append((clock.now, amount))
    rate, capacity = per_minute / MINUTE * HEADROOM, max(1.0, per_minute / MINUTE * hold)
    for first, (began, _) in enumerate(sent):
        total = 0.0
        for now, amount in sent[first:]:
            total += amount
            # What is larger than the bucket goes out of a full one, and what follows waits all the longer.
            allowed = rate * (now - began) + capacity + max(0.0, amount - capacity)
            assert total <= allowed + 1e-3


@given(per_minute=st.floats(min_value=30, max_value=5000), hold=st.floats(min_value=0.1, max_value=5))
def test_an_endless_demand_uses_the_budget_up(per_minute: float, hold: float) -> None:
    clock, pace = SimulatedClock(), Pace(per_minute, hold)
    count_at_once(pace, clock)
    assert count_sent(pace, clock, 2 * MINUTE) >= 2 * per_minute * HEADROOM - 2


@given(
    per_minute=st.floats(min_value=1, max_value=3000),
    moves=st.lists(st.tuples(st.floats(0, 100), st.floats(-200, 200)), max_size=20),
)
def test_no_idle_time_and_no_refund_fills_the_bucket_over_its_brim(
    per_minute: float, moves: list[tuple[float, float]]
) -> None:
    clock, pace = SimulatedClock(), Pace(per_minute, 2.0)
    for gap, amount in moves:
        clock.now += gap
        pace.wait(1, clock.now)
        pace.spend(amount)
    assert count_at_once(pace, clock) <= max(1.0, per_minute / MINUTE * 2.0)


def test_what_a_reply_did_not_use_is_given_back_and_what_it_used_beyond_is_taken() -> None:
    clock, pace = SimulatedClock(), Pace(6000, 10.0)
    spend_when_allowed(pace, 1000, clock)
    assert pace.wait(100, clock.now) == pytest.approx(100 / (100 * HEADROOM))
    pace.spend(-400)
    assert pace.wait(400, clock.now) == 0
    pace.spend(500)
    assert pace.wait(1, clock.now) == pytest.approx(101 / (100 * HEADROOM))


def test_a_request_larger_than_the_bucket_waits_for_a_full_one_and_is_sent() -> None:
    clock, pace = SimulatedClock(), Pace(60, 5.0)
    spend_when_allowed(pace, 1000, clock)
    assert clock.now == 1000.0
    assert pace.wait(1000, clock.now) == pytest.approx(1000 / HEADROOM)


def test_without_a_budget_nothing_waits_and_nothing_is_slowed_down() -> None:
    pace = Pace(None, 5.0)
    pace.spend(1e9)
    pace.slow_down(0.0)
    assert pace.wait(1e9, 0.0) == 0.0


def test_the_recipes_smaller_budget_stands_against_the_headers_larger_one() -> None:
    pace = Pace(100, 1.0)
    pace.learn(200, 0.0)
    assert (pace.per_minute, pace.source) == (100, "recipe")


def test_the_recipes_larger_budget_follows_the_headers_smaller_one() -> None:
    pace = Pace(200, 1.0)
    pace.learn(100, 0.0)
    assert (pace.per_minute, pace.source) == (100, "headers")


def test_a_limit_that_is_raised_again_is_followed_up_to_the_recipes() -> None:
    pace = Pace(200, 1.0)
    for told, followed, source in ((50, 50, "headers"), (150, 150, "headers"), (1000, 200, "recipe")):
        pace.learn(told, 0.0)
        assert (pace.per_minute, pace.source) == (followed, source)


@given(given=st.none() | BUDGETS, told=st.lists(BUDGETS, min_size=1))
def test_the_budget_in_force_is_the_smaller_of_the_recipes_and_the_last_headers(
    given: float | None, told: list[float]
) -> None:
    pace = Pace(given, 1.0)
    for limit in told:
        pace.learn(limit, 0.0)
    assert pace.per_minute == min(told[-1], given or told[-1])


def test_a_budget_learned_from_headers_begins_with_an_empty_bucket() -> None:
    clock, pace = SimulatedClock(), Pace(None, 5.0)
    pace.spend(10)
    pace.learn(600, clock.now)
    assert pace.wait(1, clock.now) == pytest.approx(1 / (10 * HEADROOM))
    assert count_sent(pace, clock, MINUTE) == pytest.approx(600 * HEADROOM, abs=1)


def test_a_limit_halved_in_mid_run_is_followed_at_once() -> None:
    clock, pace = SimulatedClock(), Pace(None, 1.0)
    pace.learn(1200, clock.now)
    assert count_sent(pace, clock, MINUTE) == pytest.approx(1200 * HEADROOM, abs=1)
    clock.now += MINUTE  # the bucket is full
    pace.learn(600, clock.now)
    assert count_at_once(pace, clock) == 10  # of the smaller bucket
    assert count_sent(pace, clock, MINUTE) == pytest.approx(600 * HEADROOM, abs=1)


def test_hearing_the_same_limit_again_changes_nothing() -> None:
    clock, told_often, told_once = SimulatedClock(), Pace(None, 1.0), Pace(None, 1.0)
    told_once.learn(600, clock.now)
    told_often.learn(600, clock.now)
    for _ in range(20):
        clock.now += 0.03
        told_often.learn(600, clock.now)
        assert told_often.wait(3, clock.now) == told_once.wait(3, clock.now)


def test_a_refusal_in_spite_of_the_pace_makes_it_slower_and_it_recovers() -> None:
    clock, pace = SimulatedClock(), Pace(6000, 0.01)
    usual = count_sent(pace, clock, 1.0)
    for _ in range(3):
        pace.slow_down(clock.now)
    slow = [count_sent(pace, clock, 10.0) for _ in range(6)]
    assert slow[0] < 10 * usual * 0.7
    assert all(earlier < later for earlier, later in pairwise(slow[:5]))
    assert count_sent(pace, clock, 1.0) == pytest.approx(usual, abs=1)


def test_refusals_without_end_never_bring_a_pace_to_a_halt() -> None:
    clock, pace = SimulatedClock(), Pace(6000, 0.5)
    for _ in range(200):
        spend_when_allowed(pace, 1, clock)
        pace.slow_down(clock.now)
    assert pace.wait(1, clock.now) < 5.0


@pytest.mark.parametrize(
    ("reset", "limit"),
    [
        ("", 500.0),  # some endpoints do not say
        ("20ms", 500.0),
        ("1s", 500.0),
        ("59.99s", 500.0),
        ("1m0s", 500.0),
        ("1m0.5s", None),
        ("7m12s", None),  # 200 requests a day
        ("6h0m0s", None),
        ("1d", None),
        ("soon", 500.0),
        ("30", 500.0),  # seconds
        ("86400", None),
        ("-1", 500.0),
        ("-inf", 500.0),
        ("inf", None),
        ("nan", 500.0),
        ("1e308", None),
        ("1792567740", 500.0),  # in a minute, since 1970
        ("1792567740000", 500.0),
        ("1792600000", None),
        ("2026-10-21T07:28:59Z", 500.0),
        ("2026-10-22T00:00:00Z", None),
        ("Thu, 22 Oct 2026 00:00:00 GMT", None),
    ],
)
def test_only_budgets_that_come_back_within_a_minute_are_paced(reset: str, limit: float | None) -> None:
    headers = {"x-ratelimit-limit-requests": "500", "x-ratelimit-reset-requests": reset}
    assert read_limit(headers, "requests", now=1_792_567_680.0) == limit


MALFORMED = (
    "",
    "many",
    "-5",
    "0",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1e12",
    "10, 20",
    "9" * 400,
    "unlimited",
)


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_limit_is_ignored(value: str) -> None:
    assert read_limit({"x-ratelimit-limit-tokens": value}, "tokens") is None
    assert read_limit({"x-ratelimit-limit-requests": value}, "requests") is None


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        ("60, 60;w=60", 60.0),
        ("10, 10;w=1", 600.0),
        ("100, 100;w=60, 1000;w=3600", 100.0),
        ("20, 20;window=60;w=30", 40.0),
        ("1000, 1000;w=86400", None),
        ("5, 5;w=0", None),
        ("60.5", 60.5),
    ],
)
def test_a_limit_may_name_its_window(value: str, limit: float | None) -> None:
    assert read_limit({"x-ratelimit-limit-requests": value}, "requests") == limit


def test_anthropics_limit_of_requests_is_read_and_its_split_limits_of_tokens_are_not() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:30Z",
        "anthropic-ratelimit-tokens-limit": "8000",
    }
    assert read_limit(headers, "requests", now=1_792_567_680.0) == 50
    assert read_limit(headers, "tokens", now=1_792_567_680.0) is None


def test_a_limit_too_small_for_any_request_is_no_limit() -> None:
    assert read_limit({"x-ratelimit-limit-tokens": "1"}, "tokens") is None


def test_a_wrong_budget_from_headers_holds_nobody_for_more_than_minutes() -> None:
    clock, pace = SimulatedClock(), Pace(None, 5.0)
    pace.learn(1000, clock.now)
    pace.spend(10**9)
    assert pace.wait(1, clock.now) < 3 * MINUTE
    told = Pace(1000, 5.0)  # by the recipe, which is kept to
    told.spend(10**6)
    assert told.wait(1, clock.now) > 900 * MINUTE


def test_requests_and_tokens_are_told_apart() -> None:
    headers = {"x-ratelimit-limit-tokens": "90000", "x-ratelimit-reset-requests": "7m12s"}
    assert read_limit(headers, "tokens") == 90_000
    assert read_limit(headers, "requests") is None


@given(text=st.text(), reset=st.text())
def test_whatever_stands_in_the_headers_is_no_error(text: str, reset: str) -> None:
    headers = {"x-ratelimit-limit-tokens": text, "x-ratelimit-reset-tokens": reset}
    limit = read_limit(headers, "tokens")
    assert limit is None or 0 < limit < float("inf")
