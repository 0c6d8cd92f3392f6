"""What `plan --run` says of a run after any edits: what `generate` then asks, to the request."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted
from test_generate import is_stage, run
from test_moved_rows import NEW, TEN, ask, write_pool

from multifaceted import pipeline
from multifaceted.api.building import find_changed_recipe
from multifaceted.ask.control import RunControl
from multifaceted.errors import InterruptedRunError
from multifaceted.generation.prepare import describe_run, outline_run
from multifaceted.pipeline import Rest
from multifaceted.planning import compile_plan
from multifaceted.store.manifest import read_layout, write_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.testing import ChatServer, Fault

STAGES = ("preferences", "system_message", "response")
RESPONSE = "{% block user %}{{ instruction }} MARK {{ system_message }}{% endblock %}"
SYSTEM = "{% block user %}MARK {{ descriptions | join('; ') }}{% endblock %}"


def rest_of(recipe: Path, folder: Path) -> Rest:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    return pipeline.estimate_rest(plan, folder)


def counts(rest: Rest, name: str) -> dict[str, float]:
    found = {stage: getattr(one, name) for stage, one in rest.forecast.stages.items()}
    return {stage: number for stage, number in found.items() if number}


def template(recipe: Path, text: str, mark: str) -> dict[str, str]:
    path = recipe / f"{mark}.j2"
    path.write_text(text.replace("MARK", mark), encoding="utf-8")
    return {"template": str(path)}


def test_each_edit_is_foreseen_to_the_request_and_the_run_then_asks_just_that(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """One edit after the other in one folder: former replies must never count."""
    folder = tmp_path / "run"
    stages: dict[str, Any] = {}
    run(make_recipe(server.base_url), folder)

    def edit(to_ask: dict[str, int], again: dict[str, int], *changes: str, **keys: Any) -> None:
        recipe = make_recipe(server.base_url, stages=stages, **keys)
        rest, before = rest_of(recipe, folder), len(server.bodies)
        assert counts(rest, "to_ask") == to_ask
        assert counts(rest, "again") == again
        assert rest.changes == list(changes)
        run(recipe, folder)
        assert len(server.bodies) - before == sum(to_ask.values())
        after = rest_of(recipe, folder)
        assert (counts(after, "to_ask"), after.forecast.open, after.changes) == ({}, 0, [])
        assert after.estimate.stages[0].requests == 0

    edit({}, {})
    stages["response"] = template(tmp_path, RESPONSE, "one")
    edit({"response": 30}, {"response": 30}, "the template of response")
    stages["response"] = template(tmp_path, RESPONSE, "two")
    edit({"response": 30}, {"response": 30}, "the template of response")
    stages["response"] = template(tmp_path, RESPONSE, "one")
    edit({}, {}, "the template of response")  # its rows come back
    stages["system_message"] = template(tmp_path, SYSTEM, "three")
    both = {"system_message": 30, "response": 30}
    edit(both, both, "the template of system_message")
    stages["response"] |= {"model": {"temperature": 0.2}}
    edit({"response": 30}, {"response": 30}, "temperature of response: 1.0 → 0.2")
    new = dict.fromkeys(STAGES, 15)
    edit(new, {}, "instructions: 10 → 15", count=15)
    stages["response"] |= template(tmp_path, RESPONSE, "four")
    keys = {"preferences": 6, "system_message": 6, "response": 51}
    edit(keys, {"response": 45}, "instructions: 15 → 17", "the template of response", count=17)
    stages["summary"] = {"after": "response", "description": "d"}
    stages["summary"] |= template(tmp_path, "{% block user %}Shorten {{ response }}{% endblock %}", "five")
    edit({"summary": 51}, {}, "the stage summary is new", count=17)
    del stages["summary"]
    edit({}, {}, "the stage summary is gone", count=17)
    # In the middle: what comes after it and does not speak of it keeps its replies.
    stages["hint"] = {"after": "preferences", "description": "d"}
    stages["hint"] |= template(tmp_path, "{% block user %}A hint for {{ instruction }}{% endblock %}", "six")
    edit({"hint": 51}, {}, "the stage hint is new", count=17)
    stages["response"] |= template(tmp_path, RESPONSE, "{{ hint }}")
    edit({"response": 51}, {"response": 51}, "the template of response", count=17)
    stages["hint"] |= template(tmp_path, "{% block user %}Hints for {{ instruction }}{% endblock %}", "seven")
    edit({"hint": 51, "response": 51}, {"hint": 51, "response": 51}, "the template of hint", count=17)
    del stages["hint"]
    stages["response"] |= template(tmp_path, RESPONSE, "four")
    edit({}, {}, "the stage hint is gone", "the template of response", count=17)
    edit({}, {}, "instructions: 17 → 4", count=4)
    assert server.repeats == 30  # the same prompts at another temperature


def test_an_interrupted_run_is_foreseen_from_where_it_is(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url, count=12, variants=1)
    plan = compile_plan(recipe)
    prepared = outline_run(plan, RunFolder(tmp_path / "run"), dict.fromkeys(STAGES, "some-model"))
    write_run(prepared.folder, describe_run(prepared), prepared.environment)
    nothing = rest_of(recipe, tmp_path / "run")
    assert counts(nothing, "to_ask") == dict.fromkeys(STAGES, 12)
    assert not list((tmp_path / "run").glob("**/*.sqlite*"))  # looking leaves nothing behind
    run(recipe, tmp_path / "run")
    (tmp_path / "run/shards/00000/shard.json").unlink()
    assert counts(rest_of(recipe, tmp_path / "run"), "to_ask") == {}


def test_rows_that_moved_are_foreseen_where_they_are(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = write_pool(make_recipe(server.base_url), TEN)
    run(recipe, tmp_path / "run")
    write_pool(recipe, [*TEN[:5], *NEW[:2], *TEN[:4:-1]])
    rest = rest_of(recipe, tmp_path / "run")
    assert counts(rest, "to_ask") == dict.fromkeys(STAGES, 6)
    assert (rest.forecast.ok, rest.forecast.open) == (30, 6)
    write_pool(recipe, TEN[::-1])
    assert rest_of(recipe, tmp_path / "run").changes == ["the instructions"]


def fail_some(body: dict[str, Any]) -> Fault | None:
    if not is_stage(body, "response"):
        return None
    number = int(body["messages"][-1]["content"].split(":")[0].split()[1])
    if number == 0:
        return Fault(refusal="no")
    if number == 1:
        return Fault(status=400)
    if number == 2:
        return Fault(finish_reason="length")
    return Fault(status=503) if number == 3 else None


def test_what_failed_is_asked_again_where_generate_would(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=fail_some) as server:
        model = {"base_url": server.base_url, "name": "m", "retry_wait": 0.01, "max_attempts": 2}
        recipe = make_recipe("", model=model, variants=1)
        run(recipe, tmp_path / "run")
        rest = rest_of(recipe, tmp_path / "run")
        assert counts(rest, "to_ask") == {"response": 1}  # the one that was not available
        assert (rest.forecast.ok, rest.forecast.failed, rest.forecast.open) == (6, 3, 1)
        longer = make_recipe("", model={**model, "max_tokens": 5000}, variants=1)
        rest = rest_of(longer, tmp_path / "run")
        assert (counts(rest, "to_ask"), counts(rest, "again")) == ({"response": 3}, {"response": 1})
        # What was cut, and what was refused by an endpoint that gets other requests now
        assert (rest.forecast.failed, rest.forecast.open) == (1, 3)
        server.fault = None
        before = len(server.bodies)
        run(longer, tmp_path / "run")
        assert len(server.bodies) - before == 3


def invalid_at_first(body: dict[str, Any]) -> Fault | None:
    """Every third preference set does not validate before it is repaired."""
    if not is_stage(body, "preferences") or len(body["messages"]) > 3:
        return None
    return Fault(content="no JSON") if body["seed"] % 3 == 0 else None


def test_repair_turns_are_expected_as_often_as_this_recipe_needed_them(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=invalid_at_first) as server:
        run(make_recipe(server.base_url), tmp_path / "run")
        repaired = len(server.bodies) - 90
        assert repaired > 3
        rest = rest_of(make_recipe(server.base_url, count=20), tmp_path / "run")
        assert counts(rest, "to_ask") == {
            "preferences": 30 + repaired,
            "system_message": 30,
            "response": 30,
        }
        assert counts(rest, "answered")["preferences"] == 30 + repaired
        stages = {"preferences": {"model": {"temperature": 0.1}}}
        edited = rest_of(make_recipe(server.base_url, stages=stages), tmp_path / "run")
        assert counts(edited, "to_ask")["preferences"] == 30  # how often these need it is not known


def test_requests_in_a_batch_are_neither_answered_nor_to_ask(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(batch_seconds=30) as server:
        recipe = make_recipe(server.base_url, mode="batch", batch={"poll_seconds": 0.01})
        stop_at_first_poll(recipe, tmp_path / "run", server)
        rest = rest_of(recipe, tmp_path / "run")
    assert counts(rest, "under_way") == {"preferences": 30}
    assert counts(rest, "to_ask") == {"system_message": 30, "response": 30}


def stop_at_first_poll(recipe: Path, folder: Path, server: ChatServer) -> None:
    control = RunControl()

    async def main() -> None:
        making = asyncio.create_task(pipeline.generate(compile_plan(recipe), folder, control=control))
        async with asyncio.timeout(20):
            while not server.batches:  # noqa: ASYNC110 - the server runs in a thread of its own
                await asyncio.sleep(0.01)
        control.stop()
        await making

    with pytest.raises(InterruptedRunError):
        asyncio.run(main())


def test_large_runs_are_sampled_evenly(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multifaceted.generation.forecaster.LOOKED_AT", 12)
    recipe = make_recipe(server.base_url, shard_rows=30, count=40)
    run(recipe, tmp_path / "run")
    pool = [ask(n) for n in range(40)]
    write_pool(recipe, [*pool[:25], *NEW[:2], *pool[25:]])
    rest = rest_of(recipe, tmp_path / "run")
    assert rest.forecast.looked_at < 30
    assert counts(rest, "to_ask") == dict.fromkeys(STAGES, 6)  # what is new is known to the row
    assert (round(rest.forecast.ok), rest.forecast.open) == (120, 6)
    stages = {"response": template(tmp_path, RESPONSE, "one")}
    recipe = make_recipe(server.base_url, shard_rows=30, count=40, stages=stages)
    rest = rest_of(recipe, tmp_path / "run")
    assert counts(rest, "to_ask") == {"response": 120}
    assert rest.forecast.looked_at < 30


def fail_one(body: dict[str, Any]) -> Fault | None:
    if is_stage(body, "response") and "Question 33:" in body["messages"][-1]["content"]:
        return Fault(status=503)
    return None


def test_of_large_runs_every_row_that_failed_is_looked_at(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multifaceted.generation.forecaster.LOOKED_AT", 12)
    with ChatServer(fault=fail_one) as server:
        model = {"base_url": server.base_url, "name": "m", "retry_wait": 0.01, "max_attempts": 2}
        recipe = make_recipe("", model=model, count=40, shard_rows=60)
        run(recipe, tmp_path / "run")
        rest = rest_of(recipe, tmp_path / "run")
    assert (counts(rest, "to_ask"), rest.forecast.open) == ({"response": 3}, 3)
    assert round(rest.forecast.ok) == 117


def test_lengths_are_those_of_replies_to_this_recipe(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run(make_recipe(server.base_url), tmp_path / "run")
    more = rest_of(make_recipe(server.base_url, count=20), tmp_path / "run").estimate
    assert {stage.source for stage in more.stages} == {"30 replies in the journal"}
    stages = {"response": template(tmp_path, RESPONSE, "one")}
    edited = rest_of(make_recipe(server.base_url, stages=stages), tmp_path / "run").estimate
    assert edited.stages[2].source == "30 replies in the journal, those to former prompts included"
    assert edited.stages[0].prompt_tokens == 0  # nothing is asked there


def test_plan_tells_people_and_scripts_what_an_edit_asks_and_build_that_there_was_one(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    folder, built = tmp_path / "run", tmp_path / "built"
    recipe = make_recipe(server.base_url)
    run(recipe, folder)
    assert find_changed_recipe(folder) == ""
    recipe = make_recipe(server.base_url, stages={"response": template(tmp_path, RESPONSE, "one")})
    told = multifaceted("plan", recipe, "--run", folder).stdout
    assert [
        line for line in told.splitlines() if line.startswith(("rows", "alr", "to ask", "of", "cha"))
    ] == [
        "rows: 0 made already, 30 to make",
        "already answered: 60 requests (preferences 30, system_message 30)",
        "to ask: 30 requests (response 30)",
        "of these, asked again where there was a reply before: 30 requests (response 30)",
        "changed since the run was last started: the template of response",
    ]
    found = json.loads(multifaceted("plan", recipe, "--run", folder, "--json").stdout)
    assert found["requests"] == {"total": 90, "preferences": 30, "system_message": 30, "response": 30}
    rest = found["run"]
    assert (rest["open"], rest["answered"]["total"], rest["to_ask"]["total"]) == (30, 60, 30)
    assert rest["tokens"]["prompt"]["preferences"] == 0 < found["tokens"]["prompt"]["preferences"]
    result = multifaceted("build", folder, "--out", built, "--json")
    assert (result.returncode, "has changed since the run (the template of response)" in result.stderr) == (
        0,
        True,
    )
    notice, command = json.loads(result.stdout)["notice"].split("multifaceted plan ")
    assert notice in result.stderr
    assert f" plan {command}" in result.stderr
    write_pool(recipe, [])
    assert "cannot be told" in find_changed_recipe(folder)
    recipe.unlink()
    assert find_changed_recipe(folder) == ""


def test_a_template_that_picks_by_the_row_asks_nothing_when_it_is_run_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    text = "{% block user %}{{ instruction }} {{ ['MARK a', 'MARK b'] | pick(seed) }}{% endblock %}"
    recipe = make_recipe(server.base_url, stages={"response": template(tmp_path, text, "like")})
    run(recipe, tmp_path / "run")
    asked = [body["messages"][-1]["content"] for body in server.bodies]
    assert {text[-6:] for text in asked if text.startswith("Question")} == {"like a", "like b"}
    (tmp_path / "run/shards/00000/shard.json").unlink()
    run(recipe, tmp_path / "run")
    assert (len(server.bodies), server.repeats) == (90, 0)
