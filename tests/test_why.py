"""`why`: the story of a good, a failed, a repaired and a dropped row."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from prose import answer_in_prose
from typer.testing import CliRunner

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.choice import choose
from multifaceted.cli import app
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import FAILURE_KINDS, InputError
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan
from multifaceted.store.curation import read_record
from multifaceted.store.shards import read_batches
from multifaceted.testing import ChatServer, Fault
from multifaceted.why.story import tell_story

SAME = "Both of them, always, and for the same reason: the harbor was built for the ferry."


def misbehave(body: dict[str, Any]) -> Fault | None:
    """Question 1 fails, the preference sets of question 2 need a repair, question 5 is answered alike."""
    text = body["messages"][-1]["content"]
    if "Question 1:" in text and "response_format" not in body:
        return Fault(content="", refusal="I would rather not.")
    if "Question 2:" in text and "response_format" in body and len(body["messages"]) == 2:
        return Fault(content='{"style": 3}')
    return answer_in_prose(same={"Question 5": SAME})(body)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(fault=misbehave) as running:
        yield running


@pytest.fixture
def recipe(server: ChatServer, make_recipe: MakeRecipe) -> Path:
    prices = {"input": 1, "output": 2}
    model = {"base_url": server.base_url, "name": "some-model", "retry_wait": 0.01, "prices": prices}
    return make_recipe("", count=6, model=model)


@pytest.fixture
def run(recipe: Path, tmp_path: Path) -> Path:
    return generate(recipe, tmp_path / "run")


def generate(recipe: Path, folder: Path) -> Path:
    asyncio.run(pipeline.generate(compile_plan(recipe), folder, control=RunControl()))
    return folder


def test_a_good_row_is_told_from_its_instruction_to_where_it_is_published(run: Path) -> None:
    curate_run(run, load_curation())
    story = tell_story(run, "i0-v2")
    assert story.outcome == "ok"
    assert story.instruction == {
        "id": "i0",
        "prompt": "Question 0: why?",
        "source": "s0",
        "original_source": "o",
        "variant": 2,
    }
    assert len(story.sampled) == 4
    assert [turn["stage"] for turn in story.turns] == ["preferences", "system_message", "response"]
    assert [len(turn["replies"]) for turn in story.turns] == [1, 1, 1]
    assert story.made is not None
    assert story.turns[2]["messages"] == [
        {"role": "system", "content": story.made["system"]},
        {"role": "user", "content": "Question 0: why?"},
    ]
    assert story.turns[2]["replies"][0]["text"] == story.made["output"]
    for entry in story.made["preference_set"]:
        assert entry["description"] in story.turns[1]["messages"][-1]["content"]
    assert story.provenance is not None
    assert [story.provenance[t["stage"]]["request_key"] for t in story.turns] == [
        t["key"] for t in story.turns
    ]
    tokens = [story.provenance[turn["stage"]]["tokens"] for turn in story.turns]
    assert story.spent["prompt_tokens"] == sum(part["prompt"] for part in tokens)
    assert story.spent["usd"] == pytest.approx(
        (story.spent["prompt_tokens"] + 2 * story.spent["completion_tokens"]) / 1e6
    )
    assert story.curation is not None
    assert (story.curation["verdict"], story.curation["stale"]) == ("keep", "")
    assert story.remarks == []


def test_the_pair_is_the_one_that_build_makes(run: Path) -> None:
    files = sorted(run.glob("shards/*/rows.arrow"))
    choice = choose((batch for file in files for batch in read_batches(file)), seed=7)
    told = {}
    for variant in (1, 2, 3):
        story = tell_story(run, f"i0-v{variant}")
        assert story.published is not None
        assert ("sft_small" in story.published["configs"]) == (story.id in choice.small)
        told[story.id] = story.published["pair"]
    [chosen] = [row for row in told if row in choice.rejected]
    rejected = choice.rejected[chosen]
    assert told[chosen] == {"as": "chosen", "partner": rejected, "split": "train"}
    assert told[rejected] == {"as": "rejected", "partner": chosen, "split": "train"}
    assert [pair for row, pair in told.items() if row not in (chosen, rejected)] == [None]


def test_a_failed_row_has_its_turns_and_its_failure(run: Path) -> None:
    story = tell_story(run, "i1-v3")
    assert story.outcome == "failed"
    assert story.failure is not None
    assert (story.failure["kind"], story.failure["stage"]) == ("refused", "response")
    assert story.instruction["prompt"] == "Question 1: why?"
    assert [turn["stage"] for turn in story.turns] == ["preferences", "system_message", "response"]
    assert story.turns[-1]["replies"][0]["refusal"] == "I would rather not."
    assert story.turns[-1]["key"] == story.failure["request_key"]
    assert (story.made, story.curation, story.published) == (None, None, None)


def test_a_repaired_row_shows_the_turn_that_did_not_validate(run: Path) -> None:
    story = tell_story(run, "i2-v1")
    assert [(turn["stage"], turn["repairs"]) for turn in story.turns] == [
        ("preferences", False),
        ("preferences", True),
        ("system_message", False),
        ("response", False),
    ]
    assert story.turns[0]["replies"][0]["text"] == '{"style": 3}'
    assert "dimension" in story.turns[1]["messages"][-1]["content"]


def test_a_dropped_row_names_its_reason_and_is_published_nowhere(run: Path) -> None:
    curate_run(run, load_curation())
    story = tell_story(run, "i5-v2")
    assert story.curation is not None
    assert story.curation["verdict"] == "drop"
    assert story.curation["reasons"] == ["alike_responses"]
    assert story.curation["findings"][0]["partner"] == "i5-v1"
    assert story.published == {"configs": ["sft", "provenance"], "pair": None, "no_pair": "too_few_variants"}
    said = CliRunner().invoke(app, ["why", str(run), "i5-v2"]).stdout
    assert "curation: drop" in said
    assert "alike_responses: 1.00 like i5-v1" in said
    assert "published: nowhere" in said


def test_the_story_reads_from_top_to_bottom(run: Path) -> None:
    curate_run(run, load_curation())
    said = CliRunner().invoke(app, ["why", str(run), "i0-v1"]).stdout
    places = [
        said.index(words)
        for words in (
            "[instruction i0, variant 1, s0 / o]",
            "[sampled preferences]",
            "preferences, request ",
            "system_message, request ",
            "response, request ",
            "what came of it",
            "3 replies, ",
            "curation: keep",
            "published: sft, ",
        )
    ]
    assert places == sorted(places)
    failed = CliRunner().invoke(app, ["why", str(run), "i1-v1"]).stdout
    assert "failed in stage response: refused: I would rather not." in failed


def test_json_holds_the_same(run: Path) -> None:
    result = CliRunner().invoke(app, ["why", str(run), "i0-v1", "--json"])
    assert json.loads(result.stdout) == tell_story(run, "i0-v1").as_dict()


def test_an_unknown_id_suggests_the_nearest(run: Path) -> None:
    with pytest.raises(InputError, match="'i0-v9'") as caught:
        tell_story(run, "i0-v9")
    assert "did you mean i0-v" in caught.value.hint


def test_nothing_is_written_and_nothing_is_asked(run: Path, server: ChatServer) -> None:
    asked, before = len(server.bodies), {p: hash_file(p) for p in run.rglob("*") if p.is_file()}
    for row in ("i0-v1", "i1-v1", "i2-v3"):
        tell_story(run, row)
    assert {p: hash_file(p) for p in run.rglob("*") if p.is_file()} == before
    assert len(server.bodies) == asked


def test_without_the_recipe_the_replies_are_still_told(run: Path, recipe: Path) -> None:
    elsewhere = recipe.with_name("moved.yaml")
    recipe.rename(elsewhere)
    story = tell_story(run, "i0-v1")
    assert [turn["stage"] for turn in story.turns] == ["preferences", "system_message", "response"]
    assert [turn["messages"] for turn in story.turns] == [[], [], []]
    assert "prompts cannot be rendered again" in story.remarks[0]
    told = tell_story(run, "i0-v1", recipe=elsewhere)
    assert all(turn["messages"] for turn in told.turns)
    failed = tell_story(run, "i1-v1")
    assert failed.turns
    assert failed.failure is not None


def test_a_run_that_does_not_name_its_recipe_is_told_of_all_the_same(run: Path) -> None:
    began = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**began, "environment": {}}))
    story = tell_story(run, "i0-v1")
    assert "does not say where the recipe is" in story.remarks[0]
    assert len(story.turns) == 3


def test_a_changed_template_is_told(
    run: Path, recipe: Path, make_recipe: MakeRecipe, server: ChatServer
) -> None:
    (recipe.parent / "r.j2").write_text("{% block user %}Now: {{ instruction }}{% endblock %}")
    make_recipe(server.base_url, count=6, stages={"response": {"template": "r.j2"}})
    story = tell_story(run, "i0-v1")
    assert any("no reply" in remark for remark in story.remarks)
    assert [turn["stage"] for turn in story.turns][-1] == "response"
    assert story.made is not None
    assert story.turns[-1]["replies"][0]["text"] == story.made["output"]


def test_replies_that_were_set_aside_are_part_of_the_story(run: Path, recipe: Path) -> None:
    compiled = compile_plan(recipe)
    asyncio.run(pipeline.generate(compiled, run, control=RunControl(), retry=FAILURE_KINDS))
    replies = tell_story(run, "i1-v1").turns[-1]["replies"]
    assert [reply["set_aside"] for reply in replies] == [True, False]
    assert [reply["attempt"] for reply in replies] == [1, 2]


def test_a_run_that_is_not_whole_tells_of_its_rows_too(run: Path) -> None:
    (run / "manifest.json").unlink()
    story = tell_story(run, "i0-v1")
    assert story.published is None
    assert "not finished" in story.remarks[0]


def test_secrets_in_texts_are_blotted_out(tmp_path: Path, make_recipe: MakeRecipe) -> None:
    key = "sk-proj-" + "aB3" * 14
    with ChatServer(fault=answer_in_prose(same={"Question": f"Use {key} and go."})) as server:
        run = generate(make_recipe(server.base_url, count=1), tmp_path / "other")
    story = tell_story(run, "i0-v1")
    shown = json.dumps(story.as_dict())
    assert "[a secret]" in shown
    assert key not in shown


def test_the_record_and_the_story_agree(run: Path) -> None:
    curate_run(run, load_curation())
    for row in read_record(run / "curation").head(4).iter_rows(named=True):
        told = tell_story(run, row["id"]).curation
        assert told is not None
        assert told["verdict"] == row["verdict"]
