"""Bench runs: a fourth stage asks a rubric for each preference, and `bench` has the original's fields."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from conftest import DIMENSIONS, MakeRecipe
from test_cli import multifaceted
from test_crash import finish, kill_at, start

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.batch.folder import BatchFolder
from multifaceted.builders import MultifacetedCollection
from multifaceted.building.check import check_folder
from multifaceted.building.check_rows import RowChecker
from multifaceted.building.configs import CONFIGS
from multifaceted.building.folder import build_folder
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import FatalEndpointError, InputError
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan, load_recipe
from multifaceted.planning.cost import estimate
from multifaceted.prompts.reply import ReplyError
from multifaceted.prompts.template import load_template
from multifaceted.records import Failure, Instruction, RowTask
from multifaceted.stages import RUBRIC as RUBRIC_STAGE
from multifaceted.stages import Draft
from multifaceted.stages.rubric import rubric_schema
from multifaceted.store.manifest import RunData, read_layout
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_batches
from multifaceted.store.status import read_status
from multifaceted.taxonomy import PreferenceSet, Taxonomy
from multifaceted.taxonomy.index import TaxonomyIndex
from multifaceted.testing import ChatServer, Fault, make_reply
from multifaceted.why.story import tell_story

# The folder of the original's published rows, where somebody has them; they are not ours to ship.
REAL_ROWS = Path(os.environ.get("MULTIFACETED_REAL_ROWS", "real-rows"))
RUBRIC = {"criteria": "Is it warm?", **{f"score{n}": f"Warm in {n} of 5 sentences." for n in range(1, 6)}}
TASK = {
    "instruction": "Why?",
    "dimension": "style",
    "subdimension": "t",
    "preference": "p",
    "description": "d",
}
TAXONOMY = Taxonomy.model_validate({"name": "t", "version": "1.0.0", "dimensions": []})
DRAFT = Draft(
    RowTask(Instruction(id="i", prompt="Why?"), 1, PreferenceSet(preferences=()), 7), TaxonomyIndex(TAXONOMY)
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


@pytest.fixture
def make_bench(make_recipe: MakeRecipe) -> MakeRecipe:
    """The recipe of `make_recipe`, as a bench of three prompts."""

    def make(base_url: str, *, count: int = 3, name: str = "bench.yaml", **changes: Any) -> Path:
        return make_recipe(base_url, count=count, name=name, **{"kind": "bench", "variants": 1, **changes})

    return make


def run(recipe: Path, folder: Path, **options: Any) -> RunData:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    return asyncio.run(pipeline.generate(plan, folder, control=RunControl(), **options))


def rows_of(folder: Path, data: RunData) -> list[dict[str, Any]]:
    files = [RunFolder(folder).rows_file(summary.name) for summary in data.summaries]
    return [row for file in files for batch in read_batches(file) for row in batch.to_pylist()]


def failures_of(folder: Path, data: RunData) -> list[Failure]:
    return [record for s in data.summaries for record in RunFolder(folder).read_failures(s.name)]


def is_rubric(body: dict[str, Any]) -> bool:
    return bool(body.get("response_format", {}).get("json_schema", {}).get("name") == "rubric")


def on_rubrics(fault: Fault, *dimensions: str, row: str = "", turns: int = 0) -> Callable[..., Fault | None]:
    """A fault of the rubric requests of some dimensions; of one prompt, or of requests of so many turns."""

    def strike(body: dict[str, Any]) -> Fault | None:
        asked = body["messages"][1]["content"]
        wanted = any(f"\n{dimension} → " in asked for dimension in dimensions) and row in asked
        return fault if is_rubric(body) and wanted and turns in (0, len(body["messages"])) else None

    return strike


def test_a_bench_has_a_rubric_for_each_preference_in_the_order_of_the_set(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    data = run(make_bench(server.base_url), tmp_path / "run")
    rows = rows_of(tmp_path / "run", data)
    assert [row["id"] for row in rows] == ["i0-v1", "i1-v1", "i2-v1"]
    assert len(server.bodies) == 3 * 7
    assert len({body["seed"] for body in server.bodies}) == 3 * 7
    replies = {b["messages"][1]["content"]: json.loads(make_reply(b)) for b in server.bodies if is_rubric(b)}
    for row in rows:
        assert tuple(entry["dimension"] for entry in row["preference_set"]) == DIMENSIONS
        for entry, rubric in zip(row["preference_set"], row["rubrics"], strict=True):
            about = (row["prompt"], f"{entry['preference']}: {entry['description']}")
            [reply] = [reply for asked, reply in replies.items() if all(text in asked for text in about)]
            scores = {str(score): reply[f"score{score}"] for score in range(1, 6)}
            assert rubric == {"criteria": reply["criteria"], "score_descriptions": scores}


def test_a_rubric_is_asked_for_with_three_examples_and_without_the_answer_it_will_judge(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    [row] = rows_of(tmp_path / "run", run(make_bench(server.base_url, count=1), tmp_path / "run"))
    for body in filter(is_rubric, server.bodies):
        system, user = (message["content"] for message in body["messages"])
        shown = [line for line in system.splitlines() if line.startswith("Rubric: {")]
        examples = [RUBRIC_STAGE.read(DRAFT, line) for line in shown]
        assert len({rubric.criteria for rubric in examples}) == 3
        assert row["prompt"] in user
        assert not any(text in system + user for text in (row["output"], row["system"]))


def test_only_the_rubrics_that_do_not_validate_are_repaired(make_bench: MakeRecipe, tmp_path: Path) -> None:
    broken = Fault(content=json.dumps({**RUBRIC, "score3": " ", "score4": RUBRIC["score5"]}))
    with ChatServer(fault=on_rubrics(broken, "style", turns=2)) as server:
        data = run(make_bench(server.base_url, count=2), tmp_path / "run")
        repairs = [body for body in server.bodies if is_rubric(body) and len(body["messages"]) == 4]
        assert len(server.bodies) == 2 * 8
    assert data.ok == 2
    assert len(repairs) == 2
    for repair in repairs:
        assert repair["messages"][2] == {"role": "assistant", "content": broken.content}
        assert "score3: is empty" in repair["messages"][3]["content"]
    tokens = [record["tokens"]["completion"] for record in rows_of(tmp_path / "run", data)[0]["rubric"]]
    assert tokens[0] > max(tokens[1:])  # both turns of the first


def test_a_rubric_that_stays_invalid_fails_its_row_in_its_stage_and_the_others_come_about(
    make_bench: MakeRecipe, tmp_path: Path
) -> None:
    fault = on_rubrics(Fault(content="none"), "informativeness", row="Question 1:")
    with ChatServer(fault=fault) as server:
        data = run(make_bench(server.base_url), tmp_path / "run")
        asked = len(server.bodies)
        run(make_bench(server.base_url), tmp_path / "run")
        assert (
            len(server.bodies) == asked == 3 * 7 + 1
        )  # asking again would change nothing, so it is not done
    [record] = failures_of(tmp_path / "run", data)
    assert (record.id, record.stage, record.kind, data.ok) == ("i1-v1", "rubric", "invalid_reply", 2)
    assert record.message.startswith("informativeness: the reply holds no JSON object")


def test_of_several_faults_the_one_that_asking_again_does_not_mend_is_told(
    make_bench: MakeRecipe, tmp_path: Path
) -> None:
    busy = on_rubrics(Fault(status=503), "style", "informativeness")
    refused = on_rubrics(Fault(refusal="No."), "background_knowledge", "harmlessness")
    with ChatServer(fault=lambda body: busy(body) or refused(body)) as server:
        [record] = failures_of(tmp_path / "run", run(make_bench(server.base_url, count=1), tmp_path / "run"))
        server.fault = None
        asked = len(server.bodies)
        assert run(make_bench(server.base_url, count=1), tmp_path / "run").ok == 0
        assert run(make_bench(server.base_url, count=1), tmp_path / "run", retry=["refused"]).ok == 0
        assert run(make_bench(server.base_url, count=1), tmp_path / "run", retry=["refused"]).ok == 1
        assert len(server.bodies) - asked == 4  # the four that failed, and nothing that was there
    assert (record.kind, record.retryable) == ("refused", False)
    assert record.message.startswith("background_knowledge: ")


def test_what_stops_the_run_stops_it_in_the_last_stage_too(make_bench: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=on_rubrics(Fault(status=401), "style")) as server:
        with pytest.raises(FatalEndpointError, match="401"):
            run(make_bench(server.base_url), tmp_path / "run")
        server.fault = None
        assert run(make_bench(server.base_url), tmp_path / "run").ok == 3
        assert server.repeats == 0


def test_a_batch_run_asks_all_rubrics_of_a_wave_together_and_gives_the_same_shards(
    make_bench: MakeRecipe, tmp_path: Path
) -> None:
    broken = Fault(content='{"criteria": "Is it warm?"}')
    repaired = on_rubrics(broken, "style", "harmlessness", turns=2)
    refused = on_rubrics(Fault(refusal="No."), "harmlessness", row="Question 2:")
    with ChatServer(fault=lambda body: refused(body) or repaired(body)) as server:
        live = run(make_bench(server.base_url), tmp_path / "live")
        server.paid.clear()
        recipe = make_bench(server.base_url, mode="batch", batch={"poll_seconds": 0.01})
        batch = run(recipe, tmp_path / "batch")
        requests = [record.requests for record in BatchFolder(tmp_path / "batch").read_records()]
        assert server.repeats == 0
    assert requests == [3, 3, 3, 12, 5]
    assert [s.sha256 for s in batch.summaries] == [s.sha256 for s in live.summaries]
    assert failures_of(tmp_path / "batch", batch) == failures_of(tmp_path / "live", live)


def test_a_bench_killed_twice_ends_as_one_that_was_not_and_pays_once(
    make_bench: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=0.01) as server:
        recipe = make_bench(server.base_url, count=6)
        whole = run(recipe, tmp_path / "whole")
        server.paid.clear()
        for moment in (10, 30):
            kill_at(start(recipe, tmp_path / "killed"), server, moment)
        finish(start(recipe, tmp_path / "killed"))
        assert len(server.paid) == 6 * 7
        assert server.repeats <= 8 * 2  # what was in flight
    files = [RunFolder(tmp_path / "killed").rows_file(summary.name) for summary in whole.summaries]
    assert [hash_file(file) for file in files] == [summary.sha256 for summary in whole.summaries]


def test_damaged_rows_come_back_from_the_journal_and_nothing_is_asked(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    before = rows_of(tmp_path / "run", run(make_bench(server.base_url), tmp_path / "run"))
    asked = len(server.bodies)
    RunFolder(tmp_path / "run").rows_file("00000").write_bytes(b"")
    assert rows_of(tmp_path / "run", run(make_bench(server.base_url), tmp_path / "run")) == before
    assert len(server.bodies) == asked


def test_a_collection_that_becomes_a_bench_pays_for_the_rubrics_only_and_back_for_nothing(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    run(make_bench(server.base_url, kind="collection"), tmp_path / "run")
    asked = len(server.bodies)
    assert run(make_bench(server.base_url), tmp_path / "run").ok == 3
    assert all(is_rubric(body) for body in server.bodies[asked:])
    assert len(server.bodies) - asked == 12
    data = run(make_bench(server.base_url, kind="collection"), tmp_path / "run")
    assert "rubrics" not in rows_of(tmp_path / "run", data)[0]
    assert len(server.bodies) - asked == 12
    assert read_status(RunFolder(tmp_path / "run")).requests["rubric"] == 12  # still paid for


FIELDS = ["source", "preference_set", "system", "prompt", "reference_answer", "rubrics"]


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_the_built_bench_has_the_fields_of_the_original_after_an_id(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path, file_format: Any
) -> None:
    [first, *_] = rows_of(tmp_path / "run", run(make_bench(server.base_url), tmp_path / "run"))
    build_folder(tmp_path / "run", tmp_path / "bench", file_format=file_format)
    assert check_folder(tmp_path / "bench") == []
    loaded = datasets.load_dataset(str(tmp_path / "bench"), split="train")
    assert loaded.column_names == ["id", *FIELDS]
    entry = loaded.features["rubrics"].feature
    assert list(entry) == ["criteria", "score_descriptions"]
    assert list(entry["score_descriptions"]) == ["1", "2", "3", "4", "5"]
    assert loaded[0]["source"] == first["main_source"] == "s0"
    assert loaded[0]["reference_answer"] == first["output"]
    assert loaded[0]["rubrics"] == first["rubrics"]
    origins = datasets.load_dataset(str(tmp_path / "bench"), "provenance", split="train")
    assert origins["id"] == loaded["id"]
    assert [len(records) for records in origins["rubric"]] == [4, 4, 4]
    assert origins["original_source"][:] == ["o"] * 3


@pytest.mark.skipif(not REAL_ROWS.is_dir(), reason="needs MULTIFACETED_REAL_ROWS, rows of the original")
def test_the_fields_are_those_of_the_originals_own_rows() -> None:
    ours = datasets.Features.from_arrow_schema(CONFIGS["bench"]["bench"].schema)
    head = _read_real("bench_instance_readme_head.json")
    head["rubrics"] = head.pop("rubric")  # as the published set calls it
    theirs = datasets.Dataset.from_list([head]).features
    assert {name: ours[name] for name in theirs} == theirs
    assert list(theirs) == [name for name in FIELDS if name != "preference_set"]  # which this file leaves out
    whole = _read_real("bench_instance_468_with_preferences.json")
    told = {"preference_set": whole["preference"], "rubrics": whole["rubric"]}
    theirs = datasets.Dataset.from_list([told]).features
    assert {name: ours[name] for name in theirs} == theirs
    assert [e["dimension"] for e in whole["preference"]] == list(DIMENSIONS)  # its rubrics are in this order


def _read_real(name: str) -> dict[str, Any]:
    content = json.loads((REAL_ROWS / name).read_text(encoding="utf-8"))
    row: dict[str, Any] = content[0] if isinstance(content, list) else content
    return row


def test_the_card_of_a_bench_speaks_of_a_bench(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    [first, *_] = rows_of(tmp_path / "run", run(make_bench(server.base_url), tmp_path / "run"))
    manifest = build_folder(tmp_path / "run", tmp_path / "bench")
    card = (tmp_path / "bench/README.md").read_text()
    assert [config.name for config in manifest.configs] == ["bench", "provenance"]
    assert (manifest.absent, manifest.left_out) == ([], {})
    assert f"- **criteria**: {first['rubrics'][0]['criteria']}" in card
    assert f"- **5**: {first['rubrics'][0]['score_descriptions']['5']}" in card
    assert check_folder(tmp_path / "bench") == []
    assert not [word for word in ("rejected", "sft", "gold response") if word in card]
    asked = [line for line in card.splitlines() if line.startswith("| rubric |")]
    assert len(asked) == 1


def test_a_bench_is_curated_and_why_tells_where_its_rows_are_published(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    rows = rows_of(tmp_path / "run", run(make_bench(server.base_url), tmp_path / "run"))
    shortest, *_ = sorted({len(row["system"]) for row in rows})
    long_ones = [row["id"] for row in rows if len(row["system"]) > shortest]
    (tmp_path / "curate.yaml").write_text(
        f"filters: {{system_length: {{min_characters: {shortest + 1}}}}}", encoding="utf-8"
    )
    found = curate_run(tmp_path / "run", load_curation(tmp_path / "curate.yaml"))
    assert (found.kept, found.reasons) == (len(long_ones), {"system_length": len(rows) - len(long_ones)})
    build_folder(tmp_path / "run", tmp_path / "bench")
    assert check_folder(tmp_path / "bench") == []
    for config in ("bench", "provenance"):
        loaded = datasets.load_dataset(str(tmp_path / "bench"), config, split="train")
        assert loaded["id"] == long_ones
    story = tell_story(tmp_path / "run", long_ones[0])
    assert story.published == {"configs": ["bench", "provenance"], "pair": None, "no_pair": None}


def test_check_finds_a_row_that_lacks_a_rubric(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    run(make_bench(server.base_url), tmp_path / "run")
    build_folder(tmp_path / "run", tmp_path / "bench")
    [batch] = read_batches(tmp_path / "bench/bench/train-00000-of-00001.arrow")
    rows = batch.to_pylist()
    rows[1]["rubrics"].pop()
    checker = RowChecker(CONFIGS["bench"])
    checker.add("bench", "train", pa.RecordBatch.from_pylist(rows, schema=batch.schema))
    assert list(checker.faults(complete=True)) == ["config 'bench': i1-v1 lack a rubric for a preference"]


def test_the_builder_reads_a_bench_and_says_which_configs_it_has(
    server: ChatServer, make_bench: MakeRecipe, tmp_path: Path
) -> None:
    run(make_bench(server.base_url), tmp_path / "run")
    build_folder(tmp_path / "run", tmp_path / "bench")
    for folder in (tmp_path / "run", tmp_path / "bench"):
        builder = MultifacetedCollection(data_dir=folder, cache_dir=str(tmp_path / folder.name / "cache"))
        builder.download_and_prepare()
        assert builder.as_dataset(split="train").column_names == ["id", *FIELDS]
        with pytest.raises(ValueError, match="has no config 'dpo', but bench, provenance"):
            MultifacetedCollection("dpo", data_dir=folder)


def test_init_makes_a_bench_that_compiles_and_its_preview_shows_every_rubric(tmp_path: Path) -> None:
    assert multifaceted("init", tmp_path / "mine", "--bench").returncode == 0
    recipe = tmp_path / "mine/bench.yaml"
    planned = json.loads(multifaceted("plan", recipe, "--json").stdout)
    assert (planned["kind"], planned["requests"]["total"]) == ("bench", 3 * 7)
    shown = multifaceted("preview", recipe).stdout
    assert [name for name in DIMENSIONS if f"rubric of {name}" not in shown] == []


def test_what_a_recipe_leaves_out_follows_from_its_kind(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "kind: bench\ninstructions: {path: i.jsonl}\nmodel: {base_url: 'http://h/v1', name: m}\n"
    )
    recipe = load_recipe(tmp_path / "r.yaml")
    assert (recipe.name, recipe.variants) == ("multifaceted_bench", 1)


def test_a_stage_that_the_kind_has_not_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "instructions: {path: i.jsonl}\nmodel: {base_url: 'http://h/v1', name: m}\n"
        "stages:\n  rubric: {template: r.j2, model: {temperature: 0}}\n"
    )
    with pytest.raises(InputError) as caught:
        load_recipe(tmp_path / "r.yaml")
    assert [(p.line, p.where) for p in caught.value.problems] == [
        (4, "stages.rubric"),
    ]


def test_a_plan_reckons_with_a_request_for_each_rubric(make_bench: MakeRecipe) -> None:
    stages = estimate(compile_plan(make_bench("http://127.0.0.1:9/v1"))).stages
    found = {stage.stage: (stage.requests, stage.completion_tokens) for stage in stages}
    assert found["response"] == (3, 3 * 450)
    assert found["rubric"] == (12, 12 * 250)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("no JSON", ["the reply holds no JSON object"]),
        ("{}", [f"{name}: is missing" for name in RUBRIC]),
        (json.dumps({**RUBRIC, "score1": 1}), ["score1: Input should be a valid string"]),
        (json.dumps({**RUBRIC, "criteria": " "}), ["criteria: is empty"]),
        (
            json.dumps({**RUBRIC, "score1": f" {RUBRIC['score2']}"}),
            ["two scores have the same description, so that nothing tells them apart"],
        ),
    ],
)
def test_all_that_is_wrong_with_a_rubric_is_listed(text: str, problems: list[str]) -> None:
    with pytest.raises(ReplyError) as caught:
        RUBRIC_STAGE.read(DRAFT, text)
    assert caught.value.problems == problems


def test_a_rubric_is_read_in_the_shape_of_the_original() -> None:
    read = RUBRIC_STAGE.read(DRAFT, f"Here it is: {json.dumps({**RUBRIC, 'note': 'ignored'})}")
    scores = {str(n): RUBRIC[f"score{n}"] for n in range(1, 6)}
    assert read.model_dump() == {"criteria": "Is it warm?", "score_descriptions": scores}


def test_the_example_shown_to_a_very_small_model_keeps_to_the_bounds_it_is_given() -> None:
    example = json.loads(load_template("rubric", variables=TASK, small=True).render(TASK)[2].content)
    properties = rubric_schema(DRAFT, small=True)["properties"]
    assert list(example) == list(properties)
    assert [name for name, text in example.items() if not re.match(properties[name]["pattern"], text)] == []
