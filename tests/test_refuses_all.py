"""Refusals that are no row's fault: a wrong key answered with 400, an unknown model, a lost POST."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted
from test_endpoints import spread
from test_generate import failures_of, run
from test_retry import ask_again

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.errors import FatalEndpointError, InterruptedRunError
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer, Fault

WRONG_KEY = Fault(status=400, text='{"error":{"message":"API key not valid. Please pass a valid API key."}}')
NO_DB = Fault(status=400, text='{"error":{"message":"No connected db.","type":"no_db_connection"}}')
NO_BODY = Fault(status=422, text='{"detail":[{"loc":["body"],"msg":"Field required","input":null}]}')
UNKNOWN = Fault(status=422, text='{"detail":"model some-model-7f3a92bc is not deployed, request 01J8ZKQ4T9"}')
WITH_200 = Fault(status=200, text='{"error":{"message":"API key not valid.","code":400}}')
TOO_LONG = Fault(status=400, text='{"error":{"message":"the prompt is too long: 9000 tokens"}}')

Misbehave = Callable[[dict[str, Any]], Fault | None]


def question_of(body: dict[str, Any]) -> int:
    """The number of the question that a response is asked for; -1 for another stage."""
    words = body["messages"][-1]["content"]
    return int(words.split()[1].rstrip(":")) if words.startswith("Question ") else -1


@pytest.mark.parametrize(
    ("fault", "count", "concurrency"),
    [(WRONG_KEY, 10, 8), (NO_DB, 10, 1), (NO_BODY, 1, 8), (UNKNOWN, 3, 1), (WITH_200, 10, 8)],
)
def test_a_run_whose_first_requests_are_all_refused_for_one_reason_stops_with_no_row_failed(
    make_recipe: MakeRecipe, tmp_path: Path, fault: Fault, count: int, concurrency: int
) -> None:
    with ChatServer(fault=lambda _: fault) as server:
        recipe = make_recipe(server.base_url, count=count, variants=1, concurrency=concurrency, shard_rows=2)
        with pytest.raises(FatalEndpointError, match="refuses every request for the same reason: ") as caught:
            run(recipe, tmp_path / "run")
        assert caught.value.hint
        assert len(server.bodies) >= min(8, count)
        assert list(tmp_path.glob("run/shards/*/shard.json")) == []
        assert [file for file in tmp_path.glob("run/shards/*/failures.jsonl") if file.read_text()] == []
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == count


def test_the_command_quotes_the_endpoint_and_ends_with_2(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=lambda _: WRONG_KEY) as server:
        result = multifaceted("generate", make_recipe(server.base_url), "--run", tmp_path / "run")
    assert result.returncode == 2
    assert "API key not valid" in " ".join(result.stderr.split())


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_refusal_of_one_row_stays_its_own_where_others_are_answered(
    make_recipe: MakeRecipe, tmp_path: Path, concurrency: int
) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        return WRONG_KEY if "Question 0" in str(body["messages"]) else None

    with ChatServer(fault=misbehave) as server:
        recipe = make_recipe(server.base_url, variants=1, concurrency=concurrency)
        data = run(recipe, tmp_path / "run")
    assert (data.ok, data.failed, data.summaries[0].failures) == (9, 1, {"request_rejected": 1})


def test_refusals_in_different_words_are_the_rows_own(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    words = ["apples", "pears", "plums"]

    def misbehave(body: dict[str, Any]) -> Fault:
        return Fault(status=400, text=f"no {words[body['seed'] % 3]} today")

    with ChatServer(fault=misbehave) as server:
        assert run(make_recipe(server.base_url), tmp_path / "run").failed == 30


def test_prompts_that_are_too_long_are_the_rows_own_however_many(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=lambda _: TOO_LONG) as server:
        assert run(make_recipe(server.base_url), tmp_path / "run").failed == 30


def test_eight_quick_refusals_do_not_outrun_a_slow_answer(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        first = "Question 0" in str(body["messages"])
        return (
            Fault(hang=0.3) if first else WRONG_KEY if "Specify" in body["messages"][-1]["content"] else None
        )

    with ChatServer(fault=misbehave) as server:
        data = run(make_recipe(server.base_url, variants=1, count=20, concurrency=20), tmp_path / "run")
    assert (data.ok, data.failed) == (1, 19)


def test_the_model_of_a_later_stage_has_a_verdict_of_its_own(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=lambda body: UNKNOWN if body["model"] == "misspelt" else None) as server:
        stages = {"response": {"model": {"name": "misspelt"}}}
        recipe = make_recipe(server.base_url, count=2, variants=1, stages=stages)
        for _ in range(2):  # the second start finds the replies of the stages before
            with pytest.raises(FatalEndpointError, match="not deployed"):
                run(recipe, tmp_path / "run")
        assert len(server.bodies) == 2 * 2 + 2 * 2
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 2


def test_of_several_endpoints_the_one_that_refuses_everything_is_left_out(
    make_recipe: MakeRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with ChatServer(fault=lambda _: NO_DB) as broken, ChatServer() as good:
        data = run(make_recipe("", model=spread(broken, good)), tmp_path / "run")
        assert (data.ok, data.failed, sum(good.paid.values())) == (30, 0, 90)
        assert len(broken.bodies) < 45
        [told] = [
            r.getMessage() for r in caplog.records if "continues on the other endpoints" in r.getMessage()
        ]
        assert broken.base_url in told
        assert "No connected db." in told


def test_where_all_endpoints_refuse_everything_the_run_stops(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with (
        ChatServer(fault=lambda _: NO_DB) as one,
        ChatServer(fault=lambda _: NO_BODY) as other,
        pytest.raises(FatalEndpointError, match="refuses every request for the same reason"),
    ):
        run(make_recipe("", model=spread(one, other)), tmp_path / "run")


def test_an_interrupt_lets_go_of_what_waits(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        return Fault(hang=0.3) if "Question 0" in str(body["messages"]) else WRONG_KEY

    async def main(recipe: Path) -> None:
        control = RunControl()
        task = asyncio.create_task(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=control))
        while len(server.bodies) < 4:  # noqa: ASYNC110 - it watches as a progress display does
            await asyncio.sleep(0.005)
        control.stop()
        with pytest.raises(InterruptedRunError):
            await asyncio.wait_for(task, 5)

    with ChatServer(fault=misbehave) as server:
        asyncio.run(main(make_recipe(server.base_url, variants=1)))


def test_the_last_bad_row_of_a_run_is_recorded_and_holds_up_nothing(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        return WRONG_KEY if question_of(body) == 0 else None

    with ChatServer(fault=misbehave) as server:
        recipe = make_recipe(server.base_url, count=1, variants=1)
        assert run(recipe, tmp_path / "run").failed == 1
        (tmp_path / "run/shards/00000/shard.json").unlink()  # as if stopped just before its end
        assert run(recipe, tmp_path / "run").failed == 1


def test_a_retry_of_one_bad_row_ends_with_a_failure_though_nothing_else_is_asked(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        return WRONG_KEY if "Question 0" in str(body["messages"]) else None

    with ChatServer(fault=misbehave) as server:
        recipe = make_recipe(server.base_url, count=2, variants=1)
        assert run(recipe, tmp_path / "run").failed == 1
        assert ask_again(recipe, tmp_path / "run", "request_rejected").failed == 1


@pytest.mark.parametrize(
    ("stated", "stages", "goes_on"),
    [
        ({}, {}, True),
        ({"temperature": 1.7}, {}, False),
        ({}, {"preferences": {"model": {"temperature": 1.7}}}, False),
    ],
)
def test_a_value_of_the_recipe_that_is_out_of_range_stops_the_run_and_a_default_is_left_out(
    make_recipe: MakeRecipe, tmp_path: Path, stated: dict[str, Any], stages: dict[str, Any], goes_on: bool
) -> None:
    def misbehave(body: dict[str, Any]) -> Fault | None:
        return Fault(status=400, text="temperature must be at most 0.9") if "temperature" in body else None

    with ChatServer(fault=misbehave) as server:
        model = {"base_url": server.base_url, "name": "m", **stated}
        recipe = make_recipe("", count=1, variants=1, model=model, stages=stages)
        if goes_on:
            assert run(recipe, tmp_path / "run").ok == 1
            return
        with pytest.raises(FatalEndpointError, match=r"temperature must be at most 0\.9"):
            run(recipe, tmp_path / "run")


@pytest.mark.parametrize("change", ["key", "endpoint", "max_tokens"])
def test_rows_that_were_refused_are_asked_again_once_the_configuration_differs(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-former-4711")
    model = {"name": "some-model", "api_key_env": "MY_KEY", "timeout": 5}

    def misbehave(body: dict[str, Any]) -> Fault | None:
        return WRONG_KEY if question_of(body) in (2, 3) else None

    with ChatServer(fault=misbehave) as server, ChatServer() as other:
        recipe = make_recipe("", variants=1, model={**model, "base_url": server.base_url})
        data = run(recipe, tmp_path / "run")
        assert {failure.kind for failure in failures_of(tmp_path / "run", data)} == {"request_rejected"}
        server.fault = None
        asked = len(server.bodies)
        assert run(recipe, tmp_path / "run").failed == 2  # nothing has changed
        assert len(server.bodies) == asked
        if change == "key":
            monkeypatch.setenv("MY_KEY", "sk-newer-0815")
        elif change == "endpoint":
            recipe = make_recipe("", variants=1, model={**model, "base_url": other.base_url})
        else:
            recipe = make_recipe(
                "", variants=1, model={**model, "base_url": server.base_url, "max_tokens": 512}
            )
        assert run(recipe, tmp_path / "run").ok == 10
        assert len(server.bodies) + len(other.bodies) == asked + 2
    written = b"".join(file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file())
    assert b"sk-former" not in written
