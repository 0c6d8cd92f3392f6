"""Stages that a recipe adds: their order, what they see, what they add to rows, and what is asked again."""

import itertools
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import write_recipe
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from test_generate import run as generate
from typer.testing import CliRunner

from multifaceted.builders import MultifacetedCollection
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.cli import app
from multifaceted.errors import InputError, InterruptedRunError
from multifaceted.exporting.write import write_view
from multifaceted.fieldtypes import find_type_faults, json_schema, parse_type, sample_value
from multifaceted.planning import compile_plan, load_recipe
from multifaceted.reporting.browser import pick_rows
from multifaceted.reporting.rows import open_rows
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_batches
from multifaceted.store.status import read_status
from multifaceted.testing import BatchFault, ChatServer, Fault
from multifaceted.why.story import tell_story

KOREAN = "{% block user %}Into Korean, of {{ metadata.topic or 'anything' }}: {{ response }}{% endblock %}"
FACTS = (
    "{% block user %}Claims for {{ instruction }} in {{ korean }}"
    "{% for p in preferences %} {{ p.dimension }}{% endfor %}{% endblock %}"
)
STAGES: dict[str, dict[str, Any]] = {
    "korean": {"after": "response", "template": "korean.j2", "model": {"name": "other"}},
    "facts": {
        "after": "korean",
        "template": "facts.j2",
        "reply": {"claims": ["string"], "risk": "number"},
        "description": "what the answer claims",
    },
}
CLAIMS = {"claims": ["one", "two"], "risk": 0.25}


def answer(body: dict[str, Any]) -> Fault | None:
    """Facts are given as JSON; everything else as the server likes."""
    text = body["messages"][0]["content"]
    return Fault(content=json.dumps(CLAIMS)) if text.startswith("Claims for") else None


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(fault=answer) as running:
        yield running


def write(folder: Path, url: str, *, count: int = 4, **changes: Any) -> Path:
    (folder / "korean.j2").write_text(KOREAN, encoding="utf-8")
    (folder / "facts.j2").write_text(FACTS, encoding="utf-8")
    changes = {"stages": STAGES, "variants": 2, "shard_rows": 4, **changes}
    path = write_recipe(folder, url, count=count, **changes)
    rows = [
        {"id": f"i{n}", "prompt": f"Question {n}: why?", "user": n, **({"topic": "art"} if n else {})}
        for n in range(count)
    ]
    (folder / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows_of(run: Path) -> list[dict[str, Any]]:
    files = sorted(run.glob("shards/*/rows.arrow"))
    return [row for file in files for batch in read_batches(file) for row in batch.to_pylist()]


def asked(server: ChatServer) -> Counter[str]:
    """Requests by what they ask for."""
    firsts = [body["messages"][0]["content"].split()[0] for body in server.bodies]
    return Counter("korean" if w == "Into" else "facts" if w == "Claims" else "shipped" for w in firsts)


def test_every_row_gets_the_columns_of_the_stages(server: ChatServer, tmp_path: Path) -> None:
    keep = {"path": "instructions.jsonl", "keep": ["topic", "user"]}
    data = generate(write(tmp_path, server.base_url, instructions=keep), tmp_path / "run")
    assert list(data.stages) == ["preferences", "system_message", "response", "korean", "facts"]
    rows = rows_of(tmp_path / "run")
    assert len(rows) == data.ok == 8
    assert all(row["facts"] == CLAIMS and row["korean"] for row in rows)
    assert [(row["topic"], row["user"]) for row in rows[:3]] == [(None, 0), (None, 0), ("art", 1)]
    assert rows[0]["korean_record"]["model"] == "other"
    assert asked(server) == {"shipped": 24, "korean": 8, "facts": 8}


def test_a_template_sees_what_was_made_before_it_and_null_where_metadata_lacks_a_field(
    server: ChatServer, tmp_path: Path
) -> None:
    generate(write(tmp_path, server.base_url), tmp_path / "run")
    korean = {body["messages"][0]["content"] for body in server.bodies if body["model"] == "other"}
    rows = {row["id"]: row for row in rows_of(tmp_path / "run")}
    assert f"Into Korean, of anything: {rows['i0-v1']['output']}" in korean
    assert f"Into Korean, of art: {rows['i1-v2']['output']}" in korean
    facts = [body for body in server.bodies if body["messages"][0]["content"].startswith("Claims")]
    row = rows["i0-v1"]
    dimensions = " ".join(entry["dimension"] for entry in row["preference_set"])
    expected = f"Claims for {row['prompt']} in {row['korean']} {dimensions}"
    body = next(body for body in facts if body["messages"][0]["content"] == expected)
    assert body["response_format"]["json_schema"]["schema"] == json_schema(STAGES["facts"]["reply"])


def test_a_change_of_one_template_asks_that_stage_and_those_that_read_it(
    server: ChatServer, tmp_path: Path
) -> None:
    stages = {**STAGES, "facts": {**STAGES["facts"], "after": "response"}}
    recipe = write(tmp_path, server.base_url, stages=stages)
    (tmp_path / "facts.j2").write_text("{% block user %}Claims for {{ response }}{% endblock %}")
    generate(recipe, tmp_path / "run")
    server.bodies.clear()
    (tmp_path / "korean.j2").write_text(KOREAN.replace("Into", "Into fine"))
    generate(recipe, tmp_path / "run")
    assert asked(server) == {"korean": 8}


def test_removing_a_stage_asks_nothing_and_putting_it_back_neither(
    server: ChatServer, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    generate(write(tmp_path, server.base_url), run)
    before = rows_of(run)
    server.bodies.clear()
    generate(write(tmp_path, server.base_url, stages={"korean": STAGES["korean"]}), run)
    assert "facts" not in rows_of(run)[0]
    generate(write(tmp_path, server.base_url), run)
    assert server.bodies == []
    assert rows_of(run) == before


def test_a_stage_before_the_response_is_seen_by_its_template(server: ChatServer, tmp_path: Path) -> None:
    stages = {
        "plan": {"after": "preferences", "template": "plan.j2"},
        "response": {"template": "mine.j2", "model": {"temperature": 0.25}},
    }
    (tmp_path / "plan.j2").write_text("{% block user %}Plan: {{ preferences[0].preference }}{% endblock %}")
    (tmp_path / "mine.j2").write_text("{% block user %}{{ instruction }} By {{ plan }}{% endblock %}")
    data = generate(write(tmp_path, server.base_url, stages=stages), tmp_path / "run")
    assert list(data.stages) == ["preferences", "plan", "system_message", "response"]
    row = rows_of(tmp_path / "run")[0]
    body = next(b for b in server.bodies if b["messages"][0]["content"].startswith(row["prompt"]))
    assert body["messages"][0]["content"] == f"{row['prompt']} By {row['plan']}"
    assert body["temperature"] == 0.25


def test_an_interrupted_run_goes_on_and_equals_one_that_was_not(server: ChatServer, tmp_path: Path) -> None:
    whole = generate(write(tmp_path, server.base_url), tmp_path / "whole")
    server.paid.clear()
    server.bodies.clear()

    asked = itertools.count(1)

    def interrupt(body: dict[str, Any]) -> Fault | None:
        if next(asked) == 21:
            os.kill(os.getpid(), signal.SIGINT)
        return answer(body)

    server.fault = interrupt
    recipe = str(write(tmp_path, server.base_url))
    stopped = CliRunner().invoke(app, ["generate", recipe, "--run", str(tmp_path / "run")])
    assert isinstance(stopped.exception, InterruptedRunError)
    data = generate(Path(recipe), tmp_path / "run")
    assert [s.sha256 for s in data.summaries] == [s.sha256 for s in whole.summaries]
    assert (len(server.bodies), server.repeats) == (40, 0)


def test_batches_make_the_same_rows(server: ChatServer, tmp_path: Path) -> None:
    live = generate(write(tmp_path, server.base_url), tmp_path / "live")
    recipe = write(tmp_path, server.base_url, mode="batch", batch={"poll_seconds": 0.01})
    by_batch = generate(recipe, tmp_path / "batch")
    assert [s.sha256 for s in by_batch.summaries] == [s.sha256 for s in live.summaries]


def test_an_invalid_reply_is_repaired_once_and_then_fails_its_row(server: ChatServer, tmp_path: Path) -> None:
    def spoil(body: dict[str, Any]) -> Fault | None:
        text = body["messages"][0]["content"]
        if not text.startswith("Claims for"):
            return None
        is_repair = len(body["messages"]) > 1
        if "Question 1:" in text:
            return Fault(content='{"claims": "one", "risk": NaN}')
        return answer(body) if is_repair else Fault(content='{"claims": []}')

    server.fault = spoil
    data = generate(write(tmp_path, server.base_url), tmp_path / "run")
    assert (data.ok, data.failed, data.failures) == (6, 2, {"invalid_reply": 2})
    [failure, _] = [f for s in data.shards for f in RunFolder(tmp_path / "run").read_failures(s)]
    assert failure.stage == "facts"
    assert "claims: Input should be a valid list" in failure.message
    assert "risk" in failure.message
    repairs = [body["messages"][-1]["content"] for body in server.bodies if len(body["messages"]) == 3]
    assert any("risk: is missing" in text for text in repairs)


def test_columns_are_published_described_checked_and_told(server: ChatServer, tmp_path: Path) -> None:
    keep = {"path": "instructions.jsonl", "keep": ["topic", "user"]}
    generate(write(tmp_path, server.base_url, instructions=keep), tmp_path / "run")
    for file_format in ("arrow", "parquet"):
        folder = tmp_path / file_format / "collection"
        folder.parent.mkdir()
        build_folder(tmp_path / "run", folder, file_format=file_format)
        assert check_folder(folder) == []
        rows = load_dataset(
            str(folder), "sft", split="train", cache_dir=str(tmp_path / "cache" / file_format)
        )
        assert rows.column_names[-4:] == ["korean", "facts", "topic", "user"]
        assert rows[0]["facts"] == CLAIMS
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "| `facts` | struct | what the answer claims |" in card
        assert "| `facts.risk` | double |" in card
    croissant = (folder / "croissant.json").read_text(encoding="utf-8")
    assert '"sft/facts/claims"' in croissant
    assert '"provenance/korean"' in croissant
    for source in (tmp_path / "run", folder):
        row = pick_rows(open_rows(source), 1)[0]
        assert [added["name"] for added in row["added"]] == ["korean", "facts", "topic", "user"]
        assert json.loads(row["added"][1]["text"]) == CLAIMS
    for source in (tmp_path / "run", folder):
        builder = MultifacetedCollection(data_dir=source, cache_dir=str(tmp_path / "cache" / source.name))
        builder.download_and_prepare()
        assert builder.as_dataset(split="train")[0]["facts"] == CLAIMS
        out = tmp_path / f"{source.name}-trl"
        assert write_view(source, out, trainer="trl", task="sft").rows["train"] == 8
    story = tell_story(tmp_path / "run", "i1-v1")
    assert [turn["stage"] for turn in story.turns][-2:] == ["korean", "facts"]
    assert story.made is not None
    assert story.made["facts"] == CLAIMS
    assert story.provenance is not None
    assert story.provenance["korean"]["model"] == "other"
    requests = read_status(RunFolder(tmp_path / "run")).requests
    assert (requests["korean"], requests["facts"]) == (8, 8)


def faults_of(folder: Path, stages: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    path = write(folder, "http://127.0.0.1:9/v1", stages=stages, **changes)
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    return [(problem.where, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("spec", "where", "message"),
    [
        ({"template": "t.j2"}, "stages.mine", "'after' is missing"),
        ({"after": "response"}, "stages.mine", "'template' is missing"),
        ({"after": "respons", "template": "t"}, "stages.mine.after", "did you mean 'response'?"),
        ({"after": "mine", "template": "t"}, "stages.mine.after", "there is no stage 'mine'"),
        (
            {"after": "response", "template": "t", "reply": {"a": "text"}},
            "stages.mine.reply.a",
            "is not a type",
        ),
        ({"after": "response", "template": "t", "reply": {"a": []}}, "stages.mine.reply.a", "one type"),
        ({"after": "response", "template": "t", "reply": {}}, "stages.mine.reply", "names no field"),
        ({"after": "response", "template": "t", "reply": "string"}, "stages.mine.reply", "must be a map"),
        ({"after": "response", "template": "t", "name": "m"}, "stages.mine.name", "model: {name: …}"),
    ],
    ids=str,
)
def test_a_faulty_stage_is_refused_with_its_path(
    tmp_path: Path, spec: dict[str, Any], where: str, message: str
) -> None:
    [(found, said)] = faults_of(tmp_path, {"mine": spec})
    assert found == where
    assert message in said


@pytest.mark.parametrize(
    "name",
    [
        *("output", "instruction", "description", "rubric", "id", "metadata", "repair", "loop", "none"),
        *("range", "korean_record", "model_config", "model_dump", "json"),
    ],
)
def test_a_name_that_rows_or_templates_have_is_taken(tmp_path: Path, name: str) -> None:
    [(where, _)] = faults_of(tmp_path, {name: {"after": "response", "template": "t.j2"}})
    assert where == f"stages.{name}"


def test_a_description_cannot_break_the_card(server: ChatServer, tmp_path: Path) -> None:
    stages = {"mine": {"after": "response", "template": "korean.j2", "description": "a | b <b>"}}
    generate(write(tmp_path, server.base_url, count=2, stages=stages), tmp_path / "run")
    build_folder(tmp_path / "run", tmp_path / "collection")
    card = (tmp_path / "collection" / "README.md").read_text(encoding="utf-8")
    assert r"| `mine` | string | a \| b &lt;b> |" in card
    [(where, _)] = faults_of(tmp_path, {"mine": {**stages["mine"], "description": "two\nlines"}})
    assert where == "stages.mine.description"


def test_stages_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    ring = {"a": {"after": "b", "template": "t"}, "b": {"after": "a", "template": "t"}}
    found = faults_of(tmp_path, ring)
    assert [where for where, _ in found] == ["stages.a.after", "stages.b.after"]
    assert found[0][1] == "waits for itself: a → b → a"


def test_the_former_spelling_is_refused_with_the_new_one(tmp_path: Path) -> None:
    found = dict(
        faults_of(tmp_path, {"response": {"temperature": 1, "max_tokens": 9}}, templates={"response": "r"})
    )
    assert list(found) == ["stages.response.max_tokens", "stages.response.temperature", "templates"]
    assert found["stages.response.temperature"].endswith("response: {model: {temperature: …}}")
    assert "stages: {response: {template: mine.j2}}" in found["templates"]


def test_a_stage_may_ask_a_model_of_another_kind(tmp_path: Path) -> None:
    stages = {**STAGES, "korean": {**STAGES["korean"], "model": "local"}}
    models = load_recipe(write(tmp_path, "http://127.0.0.1:9/v1", stages=stages)).models
    assert [model.kind for model in models.values()] == ["endpoint"] * 3 + ["local", "endpoint"]


def test_stages_after_the_same_one_keep_the_order_of_the_recipe(tmp_path: Path) -> None:
    after = {"after": "response", "template": "t.j2"}
    stages = {"b": after, "a": after, "c": {"after": "b", "template": "t.j2"}}
    path = write(tmp_path, "http://127.0.0.1:9/v1")
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "stages": stages}, sort_keys=False))
    (tmp_path / "t.j2").write_text("{% block user %}x{% endblock %}")
    assert [stage.name for stage in compile_plan(path).stages][3:] == ["b", "c", "a"]


def test_removing_what_another_run_had_leaves_its_status_readable(server: ChatServer, tmp_path: Path) -> None:
    generate(write(tmp_path, server.base_url), tmp_path / "run")
    generate(write(tmp_path, server.base_url, stages={}), tmp_path / "run")
    spent = [part["stage"] for part in read_status(RunFolder(tmp_path / "run")).spent]
    assert spent == ["preferences", "system_message", "response", "facts", "korean"]


def test_rows_whose_batch_of_an_own_stage_expired_come_about_with_the_next(
    server: ChatServer, tmp_path: Path
) -> None:
    live = generate(write(tmp_path, server.base_url), tmp_path / "live")
    numbers = list[int]()

    def expire(number: int, body: dict[str, Any]) -> BatchFault | None:
        numbers.append(number)
        return BatchFault(expired_after=3) if number == 3 else None

    server.batch_fault = expire
    recipe = write(tmp_path, server.base_url, mode="batch", batch={"poll_seconds": 0.01})
    data = generate(recipe, tmp_path / "run")
    assert len(numbers) == 7  # what was not answered, and what waited for that, come one wave later
    assert [s.sha256 for s in data.summaries] == [s.sha256 for s in live.summaries]


def test_a_template_that_stumbles_over_one_row_fails_that_row_alone(
    server: ChatServer, tmp_path: Path
) -> None:
    recipe = write(tmp_path, server.base_url, stages={"korean": STAGES["korean"]})
    (tmp_path / "korean.j2").write_text("{% block user %}{{ 10 // (3 - metadata.user) }}{% endblock %}")
    data = generate(recipe, tmp_path / "run")
    assert (data.ok, data.failures) == (6, {"template_error": 2})
    [failure, _] = [f for s in data.shards for f in RunFolder(tmp_path / "run").read_failures(s)]
    assert (failure.id, failure.stage, failure.retryable) == ("i3-v1", "korean", False)
    assert "korean.j2" in failure.message


@pytest.mark.parametrize(
    "reply",
    [
        r'{"claims": ["\ud800"], "risk": 0.5}',
        '{"claims": [], "risk": true}',
        '{"claims": [], "risk": "1_000"}',
        '{"claims": "one", "risk": 1}',
        '{"claims": [], "risk": 1e999}',
    ],
)
def test_a_reply_of_another_type_is_invalid(server: ChatServer, tmp_path: Path, reply: str) -> None:
    spoil = Fault(content=reply)
    server.fault = lambda body: spoil if body["messages"][0]["content"].startswith("Claims") else None
    data = generate(write(tmp_path, server.base_url, count=2, variants=1), tmp_path / "run")
    assert data.failures == {"invalid_reply": 2}


def test_a_whole_number_may_be_written_with_a_point(server: ChatServer, tmp_path: Path) -> None:
    stages = {**STAGES, "facts": {**STAGES["facts"], "reply": {"items": "integer", "keys": "boolean"}}}
    server.fault = lambda body: (
        Fault(content='{"items": 3.0, "keys": false, "more": 1}')
        if body["messages"][0]["content"].startswith("Claims")
        else None
    )
    stages["last"] = {"after": "facts", "template": "last.j2"}
    (tmp_path / "last.j2").write_text("{% block user %}{{ facts.items }} {{ facts.keys }}{% endblock %}")
    generate(write(tmp_path, server.base_url, count=2, variants=1, stages=stages), tmp_path / "run")
    assert rows_of(tmp_path / "run")[0]["facts"] == {"items": 3, "keys": False}
    assert server.bodies[-1]["messages"][0]["content"] == "3 False"


def test_a_function_is_never_written_into_a_prompt(tmp_path: Path) -> None:
    recipe = write(tmp_path, "http://127.0.0.1:9/v1")
    (tmp_path / "facts.j2").write_text("{% block user %}{{ preferences[0].values }}{% endblock %}")
    with pytest.raises(InputError, match="values is a function and no value"):
        compile_plan(recipe)
    (tmp_path / "facts.j2").write_text("{% block user %}{{ korean if false }}{% endblock %}")
    with pytest.raises(InputError, match="gives no chat turn"):
        compile_plan(recipe)


def test_kept_lists_may_hold_nulls(server: ChatServer, tmp_path: Path) -> None:
    keep = {"path": "instructions.jsonl", "keep": ["tags"]}
    recipe = write(tmp_path, server.base_url, count=2, variants=1, instructions=keep, stages={})
    rows = [{"id": "a", "prompt": "Why?", "tags": ["x", None]}, {"id": "b", "prompt": "How?", "tags": None}]
    (tmp_path / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    generate(recipe, tmp_path / "run")
    build_folder(tmp_path / "run", tmp_path / "collection")
    assert check_folder(tmp_path / "collection") == []
    assert [row["tags"] for row in rows_of(tmp_path / "run")] == [["x", None], None]


def test_equal_requests_in_flight_are_paid_once(server: ChatServer, tmp_path: Path) -> None:
    stages = {"same": {"after": "response", "template": "t.j2", "model": {"seeded": False}}}
    (tmp_path / "t.j2").write_text("{% block user %}The same for all.{% endblock %}")
    generate(write(tmp_path, server.base_url, stages=stages, shard_rows=100), tmp_path / "run")
    asked = [b for b in server.bodies if b["messages"][0]["content"] == "The same for all."]
    assert len(asked) == 1
    assert len({row["same"] for row in rows_of(tmp_path / "run")}) == 1


def test_replies_of_a_stage_that_was_renamed_meanwhile_are_priced(server: ChatServer, tmp_path: Path) -> None:
    prices = {"input": 1000.0, "output": 1000.0, "batch_factor": 0.5}
    shared: dict[str, Any] = {
        "mode": "batch",
        "batch": {"poll_seconds": 0.01},
        "model": {"base_url": server.base_url, "name": "m", "prices": prices, "retry_wait": 0.01},
        "budget": {"max_usd": 1000},
    }
    one = {"after": "response", "template": "korean.j2"}

    def interrupt(number: int, body: dict[str, Any]) -> BatchFault:
        if number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return BatchFault()

    server.batch_fault = interrupt
    recipe = str(write(tmp_path, server.base_url, stages={"first": one}, **shared))
    stopped = CliRunner().invoke(app, ["generate", recipe, "--run", str(tmp_path / "run")])
    assert isinstance(stopped.exception, InterruptedRunError)
    generate(write(tmp_path, server.base_url, stages={"second": one}, **shared), tmp_path / "run")
    status = read_status(RunFolder(tmp_path / "run"))
    assert (status.unpriced, status.requests["first"], status.requests["second"]) == (0, 8, 8)


TYPES = st.recursive(
    st.sampled_from(["string", "number", "integer", "boolean"]),
    lambda inner: (
        st.dictionaries(st.sampled_from(["a", "b_1", "C"]), inner, min_size=1)
        | inner.filter(lambda found: not isinstance(found, list)).map(lambda found: [found])
    ),
    max_leaves=6,
)


@given(spec=TYPES)
def test_a_sample_of_any_sound_type_is_of_that_type(spec: Any) -> None:
    from pydantic import TypeAdapter

    assert list(find_type_faults(spec)) == []
    value = sample_value(spec, "text")
    assert TypeAdapter(parse_type(spec)).validate_python(value) == value
    assert json.loads(json.dumps(value)) == value
