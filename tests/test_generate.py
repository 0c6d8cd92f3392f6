"""Whole runs against a loopback server: what becomes of every row, and what is paid for."""

import asyncio
import json
import resource
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import DIMENSIONS, MakeRecipe

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.errors import FatalEndpointError, InterruptedRunError, LockedError, SetupError, StorageError
from multifaceted.journal import read_bodies
from multifaceted.planning import compile_plan
from multifaceted.records import Failure
from multifaceted.store.manifest import RunData, read_layout, read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_batches
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault


def run(recipe: Path, folder: Path, *, shards: range | None = None) -> RunData:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    return asyncio.run(pipeline.generate(plan, folder, control=RunControl(), shards=shards))


def rows_of(folder: Path, data: RunData) -> list[dict[str, Any]]:
    files = [RunFolder(folder).rows_file(summary.name) for summary in data.summaries]
    return [row for file in files for batch in read_batches(file) for row in batch.to_pylist()]


def failures_of(folder: Path, data: RunData) -> list[Failure]:
    return [record for s in data.summaries for record in RunFolder(folder).read_failures(s.name)]


def is_stage(body: dict[str, Any], stage: str) -> bool:
    if stage == "preferences":
        return "response_format" in body
    asks_question = body["messages"][-1]["content"].startswith("Question")
    return "response_format" not in body and asks_question == (stage == "response")


def test_every_planned_row_comes_about_in_order_with_one_preference_per_dimension(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = run(make_recipe(server.base_url), tmp_path / "run")
    rows = rows_of(tmp_path / "run", data)
    assert [row["id"] for row in rows] == [f"i{n}-v{v}" for n in range(10) for v in (1, 2, 3)]
    assert all(tuple(e["dimension"] for e in row["preference_set"]) == DIMENSIONS for row in rows)
    assert (data.planned, data.ok, data.failed) == (30, 30, 0)
    assert len(server.bodies) == 90
    assert server.repeats == 0


def test_rows_carry_where_they_come_from(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(server.base_url, stages={"response": {"model": {"name": "another-model"}}})
    data = run(recipe, tmp_path / "run")
    first = rows_of(tmp_path / "run", data)[0]
    assert first["response"]["model"] == "another-model"
    assert first["preferences"]["model"] == "some-model"
    assert first["system_message"]["template"] == data.templates["system_message"]
    assert first["preferences"]["tokens"]["prompt"] > 0
    assert len({first[stage]["request_key"] for stage in ("preferences", "system_message", "response")}) == 3
    assert first["seed_preferences"][0].startswith("style/")


def test_the_model_sees_system_message_and_instruction_and_nothing_else_in_the_last_stage(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = run(make_recipe(server.base_url, count=1, variants=1), tmp_path / "run")
    [row] = rows_of(tmp_path / "run", data)
    assert server.bodies[-1]["messages"] == [
        {"role": "system", "content": row["system"]},
        {"role": "user", "content": row["prompt"]},
    ]


def test_a_finished_run_asks_for_nothing_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    first = run(recipe, tmp_path / "run")
    asked = len(server.bodies)
    assert run(recipe, tmp_path / "run") == first
    assert len(server.bodies) == asked


def test_no_more_requests_are_in_flight_than_the_recipe_allows(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=0.01) as server:
        run(make_recipe(server.base_url, concurrency=3), tmp_path / "run")
        assert server.most_in_flight == 3


def test_changing_the_last_template_asks_the_last_stage_only(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run(make_recipe(server.base_url), tmp_path / "run")
    asked = len(server.bodies)
    (tmp_path / "r.j2").write_text("{% block user %}Question for you: {{ instruction }}{% endblock %}")
    data = run(make_recipe(server.base_url, stages={"response": {"template": "r.j2"}}), tmp_path / "run")
    again = server.bodies[asked:]
    assert len(again) == 30
    assert all(is_stage(body, "response") for body in again)
    assert data.ok == 30


def test_more_instructions_are_added_without_asking_for_the_old_ones(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run(make_recipe(server.base_url, count=10), tmp_path / "run")
    asked = len(server.bodies)
    data = run(make_recipe(server.base_url, count=15), tmp_path / "run")
    assert data.ok == 45
    assert len(server.bodies) - asked == 45


def test_more_variants_or_other_shard_sizes_ask_for_nothing_that_is_there(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run(make_recipe(server.base_url), tmp_path / "run")
    asked = len(server.bodies)
    assert run(make_recipe(server.base_url, shard_rows=3), tmp_path / "run").ok == 30
    assert len(server.bodies) == asked
    assert run(make_recipe(server.base_url, variants=4), tmp_path / "run").ok == 40
    assert len(server.bodies) - asked == 30
    assert server.repeats == 0


def test_very_small_shards_do_not_use_up_the_file_handles(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        recipe = make_recipe(server.base_url, count=60, variants=1, shard_rows=1, concurrency=16)
        assert run(recipe, tmp_path / "run").ok == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_rows_with_the_same_prompt_are_two_requests(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url, variants=1)
    lines = [json.dumps({"id": name, "prompt": "Question: the same?"}) for name in "ab"]
    (tmp_path / "instructions.jsonl").write_text("\n".join(lines))
    run(recipe, tmp_path / "run")
    assert len({body["seed"] for body in server.bodies}) == 6


def test_an_invalid_reply_gets_one_repair_turn(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def break_first(body: dict[str, Any]) -> Fault | None:
        first_turn = len(body["messages"]) == 2
        return Fault(content='{"style": {}}') if is_stage(body, "preferences") and first_turn else None

    with ChatServer(fault=break_first) as server:
        data = run(make_recipe(server.base_url, count=1, variants=1), tmp_path / "run")
        repair = server.bodies[1]["messages"]
    assert data.ok == 1
    assert repair[2] == {"role": "assistant", "content": '{"style": {}}'}
    assert "background_knowledge" in repair[3]["content"]


def test_a_reply_that_stays_invalid_fails_the_row_and_is_kept_raw(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def break_all(body: dict[str, Any]) -> Fault | None:
        return Fault(content="no JSON here") if is_stage(body, "preferences") else None

    with ChatServer(fault=break_all) as server:
        recipe = make_recipe(server.base_url, count=2, variants=1)
        data = run(recipe, tmp_path / "run")
        asked = len(server.bodies)
        run(recipe, tmp_path / "run")
        assert len(server.bodies) == asked == 4  # asking again would change nothing, so it is not done
    record = failures_of(tmp_path / "run", data)[0]
    assert (record.kind, record.stage, record.id) == ("invalid_reply", "preferences", "i0-v1")
    bodies = read_bodies(tmp_path / "run/shards/00000/journal.sqlite", [record.request_key])
    assert "no JSON here" in bodies[record.request_key]
    assert data.planned == data.ok + data.failed == 2


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(finish_reason="length"), "truncated"),
        (Fault(refusal="I will not."), "refused"),
        (Fault(finish_reason="content_filter"), "content_filter"),
        (Fault(content="   "), "empty_reply"),
        (Fault(status=400), "request_rejected"),
        (Fault(status=500), "server_error"),
        (Fault(text="<html>busy</html>"), "garbage"),
        (Fault(text='{"choices": []}'), "garbage"),
        (Fault(drop=True), "connection"),
    ],
)
def test_each_fault_fails_its_row_with_its_kind_and_the_others_come_about(
    make_recipe: MakeRecipe, tmp_path: Path, fault: Fault, kind: str
) -> None:
    def strike_one(body: dict[str, Any]) -> Fault | None:
        return fault if body["messages"][-1]["content"] == "Question 2: why?" else None

    with ChatServer(fault=strike_one) as server:
        data = run(make_recipe(server.base_url, count=4, variants=1), tmp_path / "run")
    [record] = failures_of(tmp_path / "run", data)
    assert (record.id, record.stage, record.kind) == ("i2-v1", "response", kind)
    assert (data.ok, data.failed) == (3, 1)
    assert read_status(RunFolder(tmp_path / "run")).failures == {kind: 1}


def test_a_fault_that_passes_is_tried_again_within_the_run(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    struck: set[int] = set()

    def strike_once(body: dict[str, Any]) -> Fault | None:
        if body["seed"] in struck:
            return None
        struck.add(body["seed"])
        return Fault(status=(500, 429, 408)[len(struck) % 3])

    with ChatServer(fault=strike_once) as server:
        data = run(make_recipe(server.base_url, count=3), tmp_path / "run")
        assert server.repeats == 0
    assert data.ok == 9


def test_a_rate_limit_slows_a_run_down_and_fails_no_row(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    answered = Counter[int]()

    def limit(body: dict[str, Any]) -> Fault | None:
        answered[body["seed"]] += 1  # nine times more than errors of another kind may come
        return Fault(status=429, headers={"retry-after-ms": "1"}) if answered[body["seed"]] < 10 else None

    with ChatServer(fault=limit) as server:
        model = {"base_url": server.base_url, "name": "m", "max_attempts": 1, "retry_wait": 0.0001}
        data = run(make_recipe(server.base_url, count=3, model=model), tmp_path / "run")
    assert (data.ok, data.failed) == (9, 0)


def test_running_again_asks_only_for_rows_that_failed_in_passing(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def strike_one(body: dict[str, Any]) -> Fault | None:
        return Fault(status=503) if body["messages"][-1]["content"] == "Question 2: why?" else None

    with ChatServer(fault=strike_one) as server:
        recipe = make_recipe(server.base_url, variants=1)
        assert run(recipe, tmp_path / "run").failed == 1
        asked = len(server.bodies)
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 10
        assert len(server.bodies) - asked == 1


def test_garbage_that_was_paid_for_stays_in_the_journal(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    seen: list[int] = []

    def garble_first(body: dict[str, Any]) -> Fault | None:
        seen.append(body["seed"])
        return Fault(text="GARBLED") if len(seen) == 1 else None

    with ChatServer(fault=garble_first) as server:
        data = run(make_recipe(server.base_url, count=1, variants=1), tmp_path / "run")
    assert data.ok == 1
    assert read_status(RunFolder(tmp_path / "run")).requests["total"] == 4
    assert b"GARBLED" in (tmp_path / "run/shards/00000/journal.sqlite").read_bytes()


def test_a_wrong_key_stops_the_run_at_once_and_is_never_shown(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with ChatServer(api_key="another") as server:
        model = {"base_url": server.base_url, "name": "m", "api_key_env": "MY_KEY"}
        with pytest.raises(FatalEndpointError) as caught:
            run(make_recipe(server.base_url, model=model), tmp_path / "run")
        assert len(server.bodies) <= 8  # what was in flight
    assert "401" in caught.value.message
    assert "sk-very-secret" not in str(caught.value)
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files
    assert not any(b"sk-very-secret" in path.read_bytes() for path in files)


def test_no_server_at_all_is_said_at_once(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with pytest.raises(FatalEndpointError, match="no server answers at"):
        run(make_recipe("http://127.0.0.1:9/v1"), tmp_path / "run")


def test_a_missing_key_for_an_endpoint_elsewhere_is_said_before_anything_is_sent(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SetupError, match="OPENAI_API_KEY"):
        run(make_recipe("https://api.openai.com/v1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_key_goes_to_an_endpoint_that_the_recipe_names_none_for(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai-alone")
    with pytest.raises(SetupError, match="names none"):
        run(make_recipe("https://api.example.com/v1"), tmp_path / "elsewhere")
    run(make_recipe(server.base_url, count=1), tmp_path / "run")
    assert set(server.keys) == {"none"}


def test_a_damaged_shard_is_made_again_from_the_journal(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    before = rows_of(tmp_path / "run", run(recipe, tmp_path / "run"))
    damaged = tmp_path / "run/shards/00001/rows.arrow"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    assert rows_of(tmp_path / "run", run(recipe, tmp_path / "run")) == before
    assert server.repeats == 0


def test_a_run_begun_anew_is_neither_whole_nor_built_until_it_ends(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "run")
    run(make_recipe(server.base_url), tmp_path / "run")
    with pytest.raises(FatalEndpointError):
        run(make_recipe("http://127.0.0.1:9/v1", seed=8), tmp_path / "run")
    status = read_status(folder)
    assert (status.finished, status.rows["pending"], status.shards["finished"]) == (False, 30, 0)
    assert read_manifest(folder) is None
    run(make_recipe(server.base_url), tmp_path / "run")
    assert read_status(folder).finished


@pytest.mark.parametrize(
    "refused",
    [
        ("json_schema",),
        ("json_schema", "json_object"),
        ("temperature", "top_p", "seed"),
        ("max_tokens",),
        ("max_tokens", "seed", "json_schema"),
    ],
)
def test_endpoints_that_refuse_a_parameter_are_served_without_it(
    make_recipe: MakeRecipe, tmp_path: Path, refused: tuple[str, ...]
) -> None:
    with ChatServer(refuse=refused, fault=_answer_in_prose) as server:
        recipe = make_recipe(server.base_url)
        data = run(recipe, tmp_path / "run")
        asked = len(server.bodies)
        run(recipe, tmp_path / "run")
        assert len(server.bodies) == asked
        accepted = server.bodies[-1]
    assert data.ok == 30
    assert not set(refused) & set(accepted)
    assert ("max_completion_tokens" in accepted) == ("max_tokens" in refused)


def _answer_in_prose(body: dict[str, Any]) -> Fault | None:
    """Without a schema the server would answer with words where an object is wanted."""
    wants_object = "Specify the preferences" in body["messages"][-1]["content"]
    if not wants_object or body.get("response_format", {}).get("type") == "json_schema":
        return None
    entry = {"subdimension": "s", "preference": "p", "description": "d."}
    return Fault(content=f"Here it is:\n```json\n{json.dumps(dict.fromkeys(DIMENSIONS, entry))}\n```")


def test_parameters_set_to_null_are_not_sent_and_extra_body_is(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = {
        "base_url": server.base_url,
        "name": "m",
        "temperature": None,
        "top_p": None,
        "max_tokens": None,
        "seeded": False,
        "extra_body": {"top_k": 20},
    }
    run(make_recipe(server.base_url, count=1, variants=1, model=model), tmp_path / "run")
    last = server.bodies[-1]
    assert set(last) == {"model", "messages", "top_k"}


def test_two_processes_may_share_a_run_by_its_shards(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    part = run(recipe, tmp_path / "run", shards=range(1, 3))
    assert not (tmp_path / "run/manifest.json").exists()
    assert part.ok == 18
    assert run(recipe, tmp_path / "run").ok == 30
    assert server.repeats == 0


def test_a_second_run_on_the_same_shard_is_refused(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    with RunFolder(tmp_path / "run").lock("00001"), pytest.raises(LockedError, match="00001"):
        run(recipe, tmp_path / "run")


def test_stopping_lets_in_flight_requests_come_in_and_resuming_asks_for_none_of_them_again(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    async def stop_half_way(recipe: Path) -> None:
        control = RunControl()
        task = asyncio.create_task(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=control))
        while control.tally.requests < 20:  # noqa: ASYNC110 - it watches as a progress display does
            await asyncio.sleep(0.005)
        control.stop()
        with pytest.raises(InterruptedRunError):
            await task

    with ChatServer(latency=0.02) as server:
        recipe = make_recipe(server.base_url)
        asyncio.run(stop_half_way(recipe))
        assert len(server.bodies) < 90
        assert run(recipe, tmp_path / "run").ok == 30
        assert server.repeats == 0
        assert len(server.bodies) == 90
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_instructions_of_any_shape_come_through_unchanged(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    prompts = [
        "Ｆｕｌｌ－ｗｉｄｔｈ　テスト",
        "x" * 100_000,
        "{{ 7 * 7 }} {% block user %}",
        "a\u2028b\n\n",
        "😀" * 50,
    ]
    recipe = make_recipe(server.base_url, variants=1)
    lines = (json.dumps({"id": str(n), "prompt": prompt}) for n, prompt in enumerate(prompts))
    (tmp_path / "instructions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = rows_of(tmp_path / "run", run(recipe, tmp_path / "run"))
    assert [row["prompt"] for row in rows] == prompts
    sent = {body["messages"][-1]["content"] for body in server.bodies}
    assert set(prompts) <= sent


def test_a_run_of_a_former_version_goes_on_from_its_journals(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    data = run(make_recipe(server.base_url), tmp_path / "run")
    shards = [summary.sha256 for summary in data.summaries]
    for name in ("run.json", "manifest.json"):
        content = json.loads((tmp_path / "run" / name).read_text())
        del content["data"]["stages"]
        (tmp_path / "run" / name).write_text(json.dumps(content))
    server.bodies.clear()
    assert [s.sha256 for s in run(make_recipe(server.base_url), tmp_path / "run").summaries] == shards
    assert server.bodies == []
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(StorageError, match="it has no layout"):
        run(make_recipe(server.base_url), tmp_path / "run")
