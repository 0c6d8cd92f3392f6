"""Places at the endpoints of one model, in simulated time: who gets one, when, and when nobody does."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SilentClient, run_simulated

from multifaceted.chat.limited_endpoint import REQUESTS_HELD, LimitedEndpoint
from multifaceted.chat.limits import HEADROOM, Pace
from multifaceted.chat.pool import LIMIT_PATIENCE, OUTAGE_PATIENCE, EndpointPool
from multifaceted.errors import (
    EndpointError,
    FatalEndpointError,
    InterruptedRunError,
    RejectedRequestError,
    TransientEndpointError,
)

REFUSED = TransientEndpointError("connection refused", kind="connection")
NO_ANSWER = TransientEndpointError("no answer in time", kind="timeout")
LIMITED = TransientEndpointError("HTTP 429", kind="rate_limited", retry_after=20.0)
BROKEN = TransientEndpointError("HTTP 500", kind="server_error")


def make_pool(
    *concurrencies: int, requests: float | None = None, tokens: float | None = None
) -> EndpointPool:
    """Endpoints A, B and so on, which live by the clock of the running loop."""
    clock = asyncio.get_running_loop().time
    endpoints = [
        LimitedEndpoint(
            SilentClient(),
            name,
            concurrency,
            Pace(requests, REQUESTS_HELD),
            Pace(tokens, 5.0),
            first_rest=1.0,
            clock=clock,
        )
        for name, concurrency in zip("ABCD", concurrencies, strict=False)
    ]
    return EndpointPool(endpoints)


@dataclass
class World:
    """What the endpoints do: reply after `seconds`, or fail with an error."""

    errors: dict[str, EndpointError] = field(default_factory=dict)
    seconds: float = 0.01
    asked: list[str] = field(default_factory=list)

    async def ask_once(self, pool: EndpointPool, *, tokens: float = 1.0) -> str:
        """Send one request; gives the name of the endpoint that replied."""
        async with pool.endpoint(tokens) as endpoint:
            self.asked.append(endpoint.label)
            await asyncio.sleep(self.seconds)
            if endpoint.label in self.errors:
                raise self.errors[endpoint.label]
            return endpoint.label

    async def ask(self, pool: EndpointPool) -> str:
        """The same, again and again while errors are transient."""
        while True:
            try:
                return await self.ask_once(pool)
            except TransientEndpointError:
                await asyncio.sleep(0.01)

    async def ask_many(self, pool: EndpointPool, count: int) -> list[str]:
        return await asyncio.gather(*(self.ask(pool) for _ in range(count)))


def count_in_flight(pool: EndpointPool) -> int:
    return sum(endpoint.in_flight for endpoint in pool.endpoints)


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let all that are ready go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_comes_first_is_served_first() -> None:
    async def main() -> list[int]:
        pool, served = make_pool(2), list[int]()

        async def ask(number: int) -> None:
            async with pool.endpoint(1.0):
                served.append(number)
                await asyncio.sleep(1.0)

        await asyncio.gather(*(ask(number) for number in range(20)))
        return served

    assert run_simulated(main()) == list(range(20))


def test_a_small_request_does_not_overtake_a_large_one_that_waits_for_the_budget() -> None:
    async def main() -> list[str]:
        pool, order = make_pool(10, tokens=6000), list[str]()

        async def ask(name: str, tokens: float) -> None:
            async with pool.endpoint(tokens):
                order.append(name)

        await asyncio.gather(ask("first", 500), ask("large", 400), ask("small", 1))
        return order

    assert run_simulated(main()) == ["first", "large", "small"]


@pytest.mark.parametrize(
    ("concurrencies", "asked", "spread"),
    [((8, 8), 8, [4, 4]), ((2, 8), 5, [1, 4]), ((2, 8), 10, [2, 8]), ((1, 1, 1), 2, [1, 1, 0])],
)
def test_the_least_busy_endpoint_is_asked_first(
    concurrencies: Sequence[int], asked: int, spread: list[int]
) -> None:
    async def main() -> list[int]:
        pool, world = make_pool(*concurrencies), World()
        tasks = [asyncio.create_task(world.ask(pool)) for _ in range(asked)]
        await settle()
        found = [endpoint.in_flight for endpoint in pool.endpoints]
        await asyncio.gather(*tasks)
        return found

    assert run_simulated(main()) == spread


def test_a_slow_endpoint_is_asked_less_than_a_fast_one() -> None:
    async def main() -> int:
        pool, asked = make_pool(4, 4), list[str]()

        async def ask() -> None:
            async with pool.endpoint(1.0) as endpoint:
                asked.append(endpoint.label)
                await asyncio.sleep(4.0 if endpoint.label == "A" else 1.0)

        await asyncio.gather(*(ask() for _ in range(100)))
        return asked.count("A")

    assert 15 <= run_simulated(main()) <= 25


def test_all_places_are_used_and_no_more() -> None:
    async def main() -> None:
        pool, most, began = make_pool(3, 2), 0, now()

        async def ask() -> None:
            nonlocal most
            async with pool.endpoint(1.0):
                most = max(most, count_in_flight(pool))
                await asyncio.sleep(1.0)

        await asyncio.gather(*(ask() for _ in range(50)))
        assert most == pool.capacity == 5
        assert now() - began == pytest.approx(10.0, abs=0.1)
        assert count_in_flight(pool) == 0

    run_simulated(main())


def test_a_run_through_a_pool_keeps_to_the_budget_and_uses_it() -> None:
    async def main() -> list[float]:
        pool, sent = make_pool(16, requests=600), list[float]()

        async def ask() -> None:
            async with pool.endpoint(1.0):
                sent.append(now())
                await asyncio.sleep(0.3)

        await asyncio.gather(*(ask() for _ in range(600)))
        return sent

    sent = run_simulated(main())
    for first in range(0, 600, 7):
        for last in range(first, 600, 11):
            assert last - first + 1 <= 10 * HEADROOM * (sent[last] - sent[first]) + 5 + 1e-3
    assert sent[-1] - sent[0] == pytest.approx(595 / (10 * HEADROOM), rel=0.02)


def test_a_resting_endpoint_is_passed_over_while_the_other_goes_on() -> None:
    async def main() -> None:
        pool, world = make_pool(4, 4), World({"A": REFUSED})
        began = now()
        assert set(await world.ask_many(pool, 100)) == {"B"}
        assert 3 <= world.asked.count("A") <= 7  # those in flight, and those before three have failed
        assert now() - began < 0.5

    run_simulated(main())


def test_a_paused_endpoint_is_passed_over_too() -> None:
    async def main() -> None:
        pool, world = make_pool(16, 16), World({"A": LIMITED})
        began = now()
        assert set(await world.ask_many(pool, 500)) == {"B"}
        assert now() - began < 1.0

    run_simulated(main())


def test_a_request_that_failed_is_not_spent_on_the_same_endpoint_while_another_is_idle() -> None:
    async def main() -> list[str]:
        pool, world = make_pool(4, 4), World({"A": REFUSED})
        for _ in range(20):
            await world.ask(pool)
            await asyncio.sleep(5.0)  # by which any rest is over
        return world.asked

    assert run_simulated(main()).count("A") == 1


def test_an_endpoint_that_comes_back_takes_its_share_again() -> None:
    async def main() -> list[str]:
        pool, world = make_pool(4, 4), World({"A": REFUSED})
        await world.ask_many(pool, 50)
        world.errors.clear()
        world.asked.clear()
        await asyncio.sleep(5.0)
        await world.ask_many(pool, 200)
        return world.asked

    assert 80 <= run_simulated(main()).count("A") <= 110


def test_a_waiter_that_is_cancelled_loses_no_place() -> None:
    async def main() -> None:
        pool, world = make_pool(1), World()
        async with pool.endpoint(1.0):
            waiting = [asyncio.create_task(world.ask(pool)) for _ in range(3)]
            await settle()
            waiting[0].cancel()
            await settle()
        assert await asyncio.gather(*waiting[1:]) == ["A", "A"]
        assert waiting[0].cancelled()
        assert count_in_flight(pool) == 0

    run_simulated(main())


def test_a_waiter_that_is_cancelled_at_the_moment_it_is_given_a_place_hands_it_on() -> None:
    async def main() -> None:
        pool, world = make_pool(1), World()
        place = pool.endpoint(1.0)
        await place.__aenter__()
        waiting = [asyncio.create_task(world.ask(pool)) for _ in range(2)]
        await settle()
        await place.__aexit__(None, None, None)  # the first has the place by now, and does not know it
        waiting[0].cancel()
        assert await waiting[1] == "A"
        assert count_in_flight(pool) == 0

    run_simulated(main())


def test_what_waits_behind_a_cancelled_request_does_not_wait_for_what_that_one_needed() -> None:
    async def main() -> float:
        pool, world = make_pool(4, tokens=6000), World()
        await world.ask_once(pool, tokens=500)
        large = asyncio.create_task(world.ask_once(pool, tokens=500))
        await settle()
        small = asyncio.create_task(world.ask_once(pool, tokens=1))
        await settle()
        large.cancel()
        began = now()
        await small
        return now() - began

    assert run_simulated(main()) < 0.1


@given(
    concurrency=st.integers(1, 4),
    waiters=st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 10), st.none() | st.integers(0, 40)), max_size=30
    ),
)
def test_whoever_is_cancelled_and_whenever_all_others_are_served_and_no_place_is_lost(
    concurrency: int, waiters: list[tuple[int, int, int | None]]
) -> None:
    async def main() -> None:
        pool = make_pool(concurrency)

        async def hold(arrives: int, lasts: int) -> None:
            await asyncio.sleep(arrives)
            async with pool.endpoint(1.0):
                assert count_in_flight(pool) <= concurrency
                await asyncio.sleep(lasts)

        loop, tasks = asyncio.get_running_loop(), list[asyncio.Task[None]]()
        for arrives, lasts, cancelled in waiters:
            tasks.append(asyncio.create_task(hold(arrives, lasts)))
            if cancelled is not None:
                loop.call_later(cancelled, tasks[-1].cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert count_in_flight(pool) == 0
        for (_, _, cancelled), end in zip(waiters, ends, strict=True):
            assert end is None or (cancelled is not None and isinstance(end, asyncio.CancelledError))

    run_simulated(main())


def test_stopping_sends_away_all_that_wait_and_all_that_come_but_not_those_at_work() -> None:
    async def main() -> None:
        pool, world = make_pool(1), World(seconds=1.0)
        at_work = asyncio.create_task(world.ask(pool))
        await settle()
        waiting = [asyncio.create_task(world.ask(pool)) for _ in range(3)]
        await settle()
        pool.stop()
        ends = await asyncio.gather(at_work, *waiting, return_exceptions=True)
        assert ends[0] == "A"
        assert all(isinstance(end, InterruptedRunError) for end in ends[1:])
        with pytest.raises(InterruptedRunError):
            await world.ask(pool)
        assert count_in_flight(pool) == 0

    run_simulated(main())


def test_a_waiter_that_is_cancelled_and_sent_away_at_once_leaves_no_error_behind() -> None:
    async def main() -> None:
        pool, world = make_pool(1), World()
        async with pool.endpoint(1.0):
            waiting = asyncio.create_task(world.ask(pool))
            await settle()
            pool.stop()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    run_simulated(main())


def test_closing_closes_every_endpoint_and_sends_waiters_away() -> None:
    async def main() -> None:
        pool, world = make_pool(1, 1, requests=60), World()
        waiting = [asyncio.create_task(world.ask(pool)) for _ in range(5)]
        await settle()
        await pool.close()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(end, InterruptedRunError) for end in ends) == 3
        assert [getattr(endpoint.client, "closed", None) for endpoint in pool.endpoints] == [True, True]

    run_simulated(main())


@pytest.mark.parametrize("places", [1, 2])
def test_no_server_at_all_is_fatal_and_names_every_place(places: int) -> None:
    async def main() -> None:
        pool = make_pool(*[4] * places)
        began = now()
        with pytest.raises(FatalEndpointError, match="no server answers at A") as caught:
            await World(dict.fromkeys("AB", REFUSED)).ask(pool)
        assert ("A, B" in caught.value.message) == (places == 2)
        assert caught.value.hint
        assert now() - began < 10

    run_simulated(main())


def test_no_server_at_one_of_two_places_is_not_fatal() -> None:
    async def main() -> None:
        pool, world = make_pool(2, 2), World({"A": REFUSED}, seconds=50.0)
        assert set(await world.ask_many(pool, 100)) == {"B"}  # for longer than an outage is borne

    run_simulated(main())


@pytest.mark.parametrize("other", [LIMITED, BROKEN])
def test_no_server_at_one_place_is_not_fatal_while_the_other_answers_with_errors(
    other: TransientEndpointError,
) -> None:
    async def main() -> None:
        pool, world = make_pool(2, 2), World({"A": REFUSED, "B": other})
        asking = asyncio.create_task(world.ask_many(pool, 8))
        await asyncio.sleep(100)
        assert not asking.done()
        del world.errors["B"]
        assert set(await asking) == {"B"}

    run_simulated(main())


@pytest.mark.parametrize("error", [REFUSED, NO_ANSWER])
def test_an_outage_is_borne_for_a_while_and_then_ends_the_run(error: TransientEndpointError) -> None:
    async def main() -> int:
        pool, world = make_pool(4, 4), World()
        await world.ask_many(pool, 10)
        world.errors, world.asked, began = dict.fromkeys("AB", error), [], now()
        with pytest.raises(FatalEndpointError, match=r"no reply from A, B for 1\d minutes") as caught:
            await world.ask_many(pool, 20)
        assert OUTAGE_PATIENCE < now() - began < OUTAGE_PATIENCE + 60
        assert caught.value.hint
        pool.stop()
        return len(world.asked)

    assert run_simulated(main()) < 100


def test_an_outage_that_ends_in_time_costs_nothing_but_time() -> None:
    async def main() -> None:
        pool, world = make_pool(4), World()
        await world.ask(pool)
        for _ in range(3):  # together they would be too long
            world.errors["A"] = REFUSED
            asking = asyncio.create_task(world.ask_many(pool, 10))
            await asyncio.sleep(0.9 * OUTAGE_PATIENCE)
            world.errors.clear()
            assert await asking == ["A"] * 10

    run_simulated(main())


def test_rate_limits_without_any_reply_are_borne_for_longer_and_then_end_the_run() -> None:
    async def main() -> None:
        pool, world, began = make_pool(4), World({"A": LIMITED}), now()
        with pytest.raises(FatalEndpointError, match=r"no reply from A for 6\d minutes: HTTP 429"):
            await world.ask_many(pool, 20)
        assert LIMIT_PATIENCE < now() - began < LIMIT_PATIENCE + 120
        pool.stop()

    run_simulated(main())


def test_one_reply_among_rate_limits_begins_the_patience_anew() -> None:
    async def main() -> None:
        pool, world = make_pool(4), World()
        for _ in range(3):
            world.errors["A"] = LIMITED
            asking = asyncio.create_task(world.ask(pool))
            await asyncio.sleep(0.9 * LIMIT_PATIENCE)
            world.errors.clear()
            assert await asking == "A"

    run_simulated(main())


def test_a_rejected_request_says_nothing_against_its_endpoint() -> None:
    async def main() -> None:
        pool, world = make_pool(4), World({"A": RejectedRequestError("HTTP 400")})
        for _ in range(10):
            with pytest.raises(RejectedRequestError):
                await world.ask_once(pool)
        endpoint = pool.endpoints[0]
        assert (endpoint.answered, endpoint.down_since, endpoint.silent_since, endpoint.in_flight) == (
            True,
            None,
            None,
            0,
        )

    run_simulated(main())
