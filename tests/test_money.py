"""What a run will cost, what it may cost, and what it has cost."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted
from test_generate import run

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.errors import LimitReachedError
from multifaceted.models import EndpointModel
from multifaceted.planning import compile_plan
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault
from multifaceted.testing.replies import complete

OPENAI = "https://api.openai.com/v1"
PRICES = {"input": 1000.0, "output": 2000.0, "cached_input": 100.0, "batch_factor": 0.5}  # to be seen


def model_at(url: str, **changes: Any) -> dict[str, Any]:
    return {"base_url": url, "name": "some-model", "timeout": 5, "retry_wait": 0.01, **changes}


def generate(recipe: Path, folder: Path, max_usd: float | None) -> None:
    plan = compile_plan(recipe)
    asyncio.run(pipeline.generate(plan, folder, control=RunControl(), max_usd=max_usd))


# Prices


def test_the_recipe_s_prices_come_before_the_table_s() -> None:
    model = EndpointModel(name="gpt-4o", base_url=OPENAI, prices={"input": 3, "output": 4})
    found = model.find_price("live")
    assert found is not None
    assert (found.input, found.cached_input, found.output, found.source) == (3, 3, 4, "recipe")
    assert model.find_price("batch") is None  # nobody said what a batch costs


def test_a_known_model_has_the_table_s_prices_and_its_version_and_date_are_named() -> None:
    live, batch = (
        EndpointModel(name="gpt-4o", base_url=OPENAI).find_price(mode) for mode in ("live", "batch")
    )
    assert live is not None
    assert 0 < live.cached_input < live.input < live.output
    assert re.fullmatch(r"genai-prices [\d.]+, checked up to 20\d\d-\d\d-\d\d", live.source)
    assert batch is None or batch.input == pytest.approx(live.input / 2)


@pytest.mark.parametrize(
    ("name", "url"), [("no-such-model", OPENAI), ("gpt-4o", "http://127.0.0.1:9/v1")], ids=["name", "place"]
)
def test_what_nobody_knows_is_unknown(name: str, url: str) -> None:
    assert EndpointModel(name=name, base_url=url).find_price("live") is None


def test_cached_tokens_cost_their_own_price() -> None:
    price = EndpointModel(name="m", base_url=OPENAI, prices=PRICES).find_price("live")
    assert price is not None
    assert price.cost(prompt=1000, cached=400, completion=100) == pytest.approx(0.6 + 0.04 + 0.2)


# Before


def test_a_plan_shows_live_and_batch_price_side_by_side(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("", model=model_at("http://127.0.0.1:9/v1", prices=PRICES, requests_per_minute=30))
    found = json.loads(multifaceted("plan", recipe, "--json").stdout)
    assert found["usd"]["batch"] == pytest.approx(found["usd"]["live"] / 2)
    assert found["seconds"] == pytest.approx(180)  # 90 requests at 30 a minute
    text = multifaceted("plan", recipe).stdout
    assert all(words in text for words in ("prices: recipe", "30 requests per minute", "by default"))


def test_a_plan_says_unknown_where_the_price_is(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe("http://127.0.0.1:9/v1")
    usd = json.loads(multifaceted("plan", recipe, "--json").stdout)["usd"]
    assert (usd["live"], usd["batch"]) == (None, None)
    assert (
        "cost: unknown, as is the price of some-model; state it in the recipe as prices"
        in multifaceted("plan", recipe).stdout
    )


def test_another_model_of_a_stage_does_not_cost_what_the_model_costs(make_recipe: MakeRecipe) -> None:
    model = model_at("http://127.0.0.1:9/v1", prices=PRICES)
    usd = []
    for prices in ({}, {"prices": {"input": 0, "output": 0}}):
        recipe = make_recipe(
            "", model=model, stages={"response": {"model": {"name": "another-model", **prices}}}
        )
        usd.append(json.loads(multifaceted("plan", recipe, "--json").stdout)["usd"]["live"])
    whole = json.loads(multifaceted("plan", make_recipe("", model=model), "--json").stdout)["usd"]["live"]
    assert usd[0] is None
    assert 0 < usd[1] < whole


def test_a_plan_after_a_pilot_comes_close_to_what_the_run_costs(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = model_at(server.base_url, prices=PRICES)
    run(make_recipe("", model=model), tmp_path / "run")
    whole = make_recipe("", model=model, count=60)
    planned = json.loads(multifaceted("plan", whole, "--run", tmp_path / "run", "--json").stdout)
    run(whole, tmp_path / "run")
    assert planned["usd"]["live"] == pytest.approx(read_status(RunFolder(tmp_path / "run")).usd, rel=0.15)


@pytest.mark.parametrize("made", [False, True])
def test_a_plan_with_a_run_that_is_none_is_exit_code_2(
    make_recipe: MakeRecipe, tmp_path: Path, made: bool
) -> None:
    folder = tmp_path / "rum"
    if made:
        folder.mkdir()
    result = multifaceted("plan", make_recipe("http://127.0.0.1:9/v1"), "--run", folder)
    assert (result.returncode, result.stdout, "rum holds no run" in result.stderr) == (2, "", True)
    assert folder.exists() == made


# The bound


def test_a_budget_stops_the_run_and_overshoots_by_what_was_in_flight(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe("", model=model_at(server.base_url, prices=PRICES), concurrency=4, shard_rows=1)
    with pytest.raises(LimitReachedError, match="budget"):
        generate(recipe, tmp_path / "run", 20.0)
    spent = read_status(RunFolder(tmp_path / "run")).usd
    dearest = 1.5  # USD of one request here: 1,000 tokens of prompt, 200 of reply
    assert 20 <= spent < 20 + 4 * dearest
    asked = len(server.bodies)
    with pytest.raises(LimitReachedError):
        generate(recipe, tmp_path / "run", 20.0)
    assert len(server.bodies) == asked  # what was spent before counts
    generate(recipe, tmp_path / "run", None)
    assert (len(server.bodies), server.repeats) == (90, 0)


def test_a_budget_in_the_recipe_holds_and_the_option_goes_before_it(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe("", model=model_at(server.base_url, prices=PRICES), budget={"max_usd": 1})
    stopped = multifaceted("generate", recipe, "--run", tmp_path / "run")
    assert (stopped.returncode, "--max-usd" in stopped.stderr) == (3, True)
    assert multifaceted("generate", recipe, "--run", tmp_path / "run", "--max-usd", "1000").returncode == 0


def test_a_budget_for_a_model_of_unknown_price_is_refused_before_anything_is_sent(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    result = multifaceted(
        "generate", make_recipe(server.base_url), "--run", tmp_path / "run", "--max-usd", "5"
    )
    assert (result.returncode, "prices" in result.stderr) == (2, True)
    assert server.bodies == []


def answer_without_usage(body: dict[str, Any]) -> Fault:
    reply = complete(body, Fault())
    del reply["usage"]
    return Fault(text=json.dumps(reply))


def test_an_endpoint_that_reports_no_usage_stops_a_budget_and_not_a_run_without_one(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=answer_without_usage) as server:
        recipe = make_recipe("", model=model_at(server.base_url, prices=PRICES), concurrency=4)
        stopped = multifaceted("generate", recipe, "--run", tmp_path / "run", "--max-usd", "5")
        assert (stopped.returncode, "reports no token usage" in stopped.stderr) == (3, True)
        asked = len(server.bodies)
        assert 1 <= asked <= 4  # what was in flight when the first reply came
        run(recipe, tmp_path / "run")
        assert len(server.bodies) == 90  # nothing was asked again
    found = read_status(RunFolder(tmp_path / "run"))
    assert (found.rows["ok"], found.usd, found.unpriced) == (30, 0, 90)
    assert "90 replies of unknown price" in multifaceted("status", tmp_path / "run").stdout


def test_what_is_free_needs_no_usage_for_its_budget(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=answer_without_usage) as server:
        model = model_at(server.base_url, prices={"input": 0, "output": 0})
        generate(make_recipe("", model=model), tmp_path / "run", 1.0)
    assert read_status(RunFolder(tmp_path / "run")).unpriced == 0


# After


def test_status_tells_what_was_spent_by_stage_and_counts_each_reply_once(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(cached_tokens=40, reasoning_tokens=7) as server:
        recipe = make_recipe("", model=model_at(server.base_url, prices=PRICES))
        run(recipe, tmp_path / "run")
        first = read_status(RunFolder(tmp_path / "run"))
        run(recipe, tmp_path / "run")
    assert read_status(RunFolder(tmp_path / "run")) == first
    assert (first.tokens["cached"], first.tokens["reasoning"]) == (90 * 40, 90 * 7)
    prompt, completion = first.tokens["prompt"], first.tokens["completion"]
    by_hand = (prompt - 90 * 40) * 1e-3 + 90 * 40 * 1e-4 + completion * 2e-3
    assert first.usd == pytest.approx(by_hand)
    assert {part["stage"]: part["replies"] for part in first.spent} == {
        "preferences": 30,
        "system_message": 30,
        "response": 30,
    }
    assert (first.unpriced, {part["mode"] for part in first.spent}) == (0, {"live"})
