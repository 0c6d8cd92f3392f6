"""Whole runs against an endpoint whose replies are odd: what each row comes to, and what is asked for it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_generate import failures_of, is_stage, rows_of, run

from multifaceted.errors import FatalEndpointError, LimitReachedError
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault, make_reply

PRICES = {"input": 1.0, "output": 2.0}


def on_responses(make: Callable[[dict[str, Any]], Fault]) -> Callable[[dict[str, Any]], Fault | None]:
    return lambda body: make(body) if is_stage(body, "response") else None


def complete(body: dict[str, Any], **changes: Any) -> str:
    """A completion, some of whose fields are replaced."""
    choice = {"message": {"role": "assistant", "content": make_reply(body)}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 30, "completion_tokens": 12}
    return json.dumps({"choices": [choice | changes.pop("choice", {})], "usage": usage, **changes})


@pytest.mark.parametrize(
    ("choice", "kind", "requests"),
    [
        ({"finish_reason": "max_tokens"}, "truncated", 1),
        ({"finish_reason": "weariness"}, "truncated", 1),
        ({"finish_reason": "error", "error": {"code": 502, "message": "gone"}}, "broken", 3),
        ({"finish_reason": "abort"}, "broken", 3),
        ({"finish_reason": "SAFETY"}, "content_filter", 1),
        ({"message": {"content": None, "reasoning_content": "So."}}, "empty_reply", 1),
        ({"message": {"content": "<think>So."}}, "empty_reply", 1),
    ],
)
def test_no_half_reply_becomes_a_row(
    make_recipe: MakeRecipe, tmp_path: Path, choice: dict[str, Any], kind: str, requests: int
) -> None:
    with ChatServer(fault=on_responses(lambda body: Fault(text=complete(body, choice=choice)))) as server:
        model = {"base_url": server.base_url, "name": "m", "max_attempts": 3, "retry_wait": 0.001}
        data = run(make_recipe(server.base_url, count=1, variants=1, model=model), tmp_path / "run")
        assert len([body for body in server.bodies if is_stage(body, "response")]) == requests
    assert [failure.kind for failure in failures_of(tmp_path / "run", data)] == [kind]
    assert read_status(RunFolder(tmp_path / "run")).requests["response"] == requests  # each is in the journal


def test_an_ending_that_the_recipe_lists_as_whole_makes_the_rows_without_asking_again(
    make_recipe: MakeRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = on_responses(lambda body: Fault(text=complete(body, choice={"finish_reason": "weariness"})))
    with ChatServer(fault=odd) as server:
        assert run(make_recipe(server.base_url, count=2), tmp_path / "run").failed == 6
        asked = len(server.bodies)
        model = {"base_url": server.base_url, "name": "some-model", "whole_endings": ["weariness"]}
        assert run(make_recipe(server.base_url, count=2, model=model), tmp_path / "run").ok == 6
        assert len(server.bodies) == asked
    told = [record.message for record in caplog.records if "weariness" in record.message]
    assert len(told) == 1
    assert "whole_endings" in told[0]


def test_thoughts_are_no_part_of_any_row_and_are_kept_where_the_recipe_says_so(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def think(body: dict[str, Any]) -> Fault:
        draft = '{"style": {"subdimension": "a draft"}}'
        return Fault(content=f"<think>Perhaps {draft}? No.</think>\n\n{make_reply(body)}")

    with ChatServer(fault=think) as server:
        for reasoning, kept in (
            ("drop", ""),
            ("keep", 'Perhaps {"style": {"subdimension": "a draft"}}? No.'),
        ):
            model = {"base_url": server.base_url, "name": "m", "reasoning": reasoning}
            data = run(make_recipe(server.base_url, count=1, model=model), tmp_path / "run")
            rows = rows_of(tmp_path / "run", data)
            assert len(rows) == 3
            made = [row[name] for row in rows for name in ("preference_set", "system", "output")]
            assert "Perhaps" not in json.dumps(made)
            assert {row[stage]["reasoning"] for row in rows for stage in ("preferences", "response")} == {
                kept
            }
        assert len(server.bodies) == 9  # thoughts that were not kept come from the journal


@pytest.mark.parametrize(
    ("usage", "unpriced"),
    [
        ({"prompt_tokens": 30, "completion_tokens": 37.25}, 0),
        ({"prompt_tokens": "30", "completion_tokens": 2**70}, 6),
        ({"prompt_tokens": -1000, "completion_tokens": -1080}, 6),
        (None, 6),
    ],
)
def test_odd_usage_costs_no_row_and_no_second_request(
    make_recipe: MakeRecipe, tmp_path: Path, usage: Any, unpriced: int
) -> None:
    with ChatServer(fault=on_responses(lambda body: Fault(text=complete(body, usage=usage)))) as server:
        model = {"base_url": server.base_url, "name": "m", "prices": PRICES}
        data = run(make_recipe(server.base_url, count=2, model=model), tmp_path / "run")
        assert (data.ok, len(server.bodies)) == (6, 18)
    status = read_status(RunFolder(tmp_path / "run"))
    assert 0 < status.usd < 1
    assert status.unpriced == unpriced


def test_half_an_emoji_in_a_reply_costs_no_shard(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def halve(body: dict[str, Any]) -> Fault:
        text = make_reply(body)
        return Fault(text=complete(body, choice={"message": {"content": text[:-3] + "\ud83d" + text[-3:]}}))

    with ChatServer(fault=halve) as server:
        data = run(make_recipe(server.base_url, count=2), tmp_path / "run")
        assert (data.planned, data.ok + data.failed) == (6, 6)
        assert data.ok == 6


def test_no_credit_in_a_200_stops_the_run_and_leaves_its_rows_open(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    body = json.dumps({"error": {"code": 402, "message": "Insufficient credits"}})
    with ChatServer(fault=lambda _: Fault(text=body)) as server:
        recipe = make_recipe(server.base_url)
        with pytest.raises(FatalEndpointError, match="Insufficient credits"):
            run(recipe, tmp_path / "run")
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 30


def test_an_endpoint_that_gives_nothing_but_pages_stops_the_run_and_fails_no_row(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=lambda _: Fault(text="<html><title>Sign in</title></html>")) as server:
        recipe = make_recipe(server.base_url)
        with pytest.raises(FatalEndpointError, match=r"replies to no request: .*'Sign in'"):
            run(recipe, tmp_path / "run")
        assert len(server.bodies) <= 16  # six, and what was in flight
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 30


def test_rows_that_never_get_a_reply_do_not_stop_a_run_that_got_others_before(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    bad = on_responses(lambda body: Fault(text="no JSON" if body["seed"] % 2 else None))
    with ChatServer(fault=bad) as server:
        model = {"base_url": server.base_url, "name": "m", "retry_wait": 0.001}
        recipe = make_recipe(server.base_url, count=3, model=model)
        first = run(recipe, tmp_path / "run")
        assert first.ok > 0 < first.failed
        assert run(recipe, tmp_path / "run").failures == first.failures == {"garbage": first.failed}


def test_negative_usage_does_not_lift_the_budget(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    usage = {"prompt_tokens": -(10**9), "completion_tokens": -(10**9)}
    with ChatServer(fault=lambda body: Fault(text=complete(body, usage=usage))) as server:
        model = {"base_url": server.base_url, "name": "m", "prices": PRICES}
        recipe = make_recipe(server.base_url, model=model, budget={"max_usd": 0.01}, concurrency=1)
        with pytest.raises(LimitReachedError, match="nobody knows what they cost"):
            run(recipe, tmp_path / "run")
        assert len(server.bodies) <= 2
