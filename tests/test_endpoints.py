"""One run over several endpoints, and the limits it keeps to while it runs."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted
from test_generate import run

from multifaceted.errors import FatalEndpointError
from multifaceted.testing import ChatServer, Fault


@pytest.fixture
def pair() -> Iterator[tuple[ChatServer, ChatServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(ChatServer()), stack.enter_context(ChatServer())


def spread(*servers: ChatServer, **settings: Any) -> dict[str, Any]:
    endpoints = [{"base_url": server.base_url, **settings} for server in servers]
    return {"name": "some-model", "endpoints": endpoints, "timeout": 5, "retry_wait": 0.01}


def test_requests_are_spread_and_the_rows_are_those_of_one_endpoint(
    pair: tuple[ChatServer, ChatServer], make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    for server in pair:
        server.latency = 0.01
    data = run(make_recipe("", model=spread(*pair)), tmp_path / "run")
    asked = [len(server.bodies) for server in pair]
    assert (data.ok, sum(asked)) == (30, 90)
    assert min(asked) > 20
    with ChatServer() as alone:
        single = run(make_recipe(alone.base_url), tmp_path / "single")
    assert [s.sha256 for s in single.summaries] == [s.sha256 for s in data.summaries]


def test_each_endpoint_gets_its_own_key_and_no_other(
    pair: tuple[ChatServer, ChatServer],
    make_recipe: MakeRecipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = spread(*pair)
    for number, (server, endpoint) in enumerate(zip(pair, model["endpoints"], strict=True)):
        monkeypatch.setenv(f"KEY_{number}", f"secret-{number}")
        server.api_key, endpoint["api_key_env"] = f"secret-{number}", f"KEY_{number}"
    assert run(make_recipe("", model=model), tmp_path / "run").ok == 30
    assert [list(server.keys) for server in pair] == [["secret-0"], ["secret-1"]]
    written = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert b"secret-" not in written


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(drop=True)])
def test_an_endpoint_that_fails_rests_while_the_other_makes_all_rows(
    pair: tuple[ChatServer, ChatServer], make_recipe: MakeRecipe, tmp_path: Path, fault: Fault
) -> None:
    broken, good = pair
    broken.fault = lambda _: fault
    data = run(make_recipe("", model=spread(*pair)), tmp_path / "run")
    assert (data.ok, data.failed) == (30, 0)
    assert sum(good.paid.values()) == 90
    assert len(broken.bodies) < 45  # rested instead of being tried for each row


def test_a_wrong_key_at_one_endpoint_stops_the_run_and_names_the_place(
    pair: tuple[ChatServer, ChatServer], make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    pair[1].api_key = "another"
    with pytest.raises(FatalEndpointError, match=str(pair[1].port)):
        run(make_recipe("", model=spread(*pair)), tmp_path / "run")


def test_endpoints_and_base_url_together_are_refused_with_the_line(
    pair: tuple[ChatServer, ChatServer], make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = {**spread(*pair), "base_url": pair[0].base_url}
    result = multifaceted("plan", make_recipe("", model=model))
    assert (result.returncode, "either base_url or endpoints" in result.stderr) == (2, True)


@pytest.mark.parametrize("headers", [True, False])
def test_a_limit_of_the_endpoint_is_kept_to_and_no_row_is_lost(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, headers: bool
) -> None:
    server.requests_per_minute, server.limit_headers, server.retry_after = 3000, headers, 0.1
    began = time.monotonic()
    data = run(make_recipe(server.base_url, count=12), tmp_path / "run")
    assert (data.ok, data.failed, server.repeats) == (36, 0, 0)
    assert time.monotonic() - began > (108 - 50) / 50  # 108 requests at 50 a second, the first 50 at once
    if headers:
        assert server.statuses[429] <= 12  # those in flight before the first answer told the limit


def test_a_budget_of_the_recipe_is_kept_to_without_one_refusal(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    server.requests_per_minute = 6000
    model = {"base_url": server.base_url, "name": "m", "requests_per_minute": 5000}
    assert run(make_recipe(server.base_url, model=model), tmp_path / "run").ok == 30
    assert server.statuses[429] == 0


def test_events_tell_limit_and_spending_to_scripts(
    pair: tuple[ChatServer, ChatServer], make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = {**spread(*pair), "prices": {"input": 1, "output": 2}}
    result = multifaceted("generate", make_recipe("", model=model), "--run", tmp_path / "run", "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.returncode, events[-1]["event"], events[-1]["rows"]["ok"]) == (0, "finished", 30)
    assert events[-1]["usd"] > 0
