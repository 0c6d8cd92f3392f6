"""`rows`: picking rows by what they hold and by what curation says, of runs and of built folders."""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MakeRecipe
from prose import answer_in_prose
from typer.testing import CliRunner

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.folder import build_folder
from multifaceted.cli import app, main
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import InputError, MultifacetedError
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer
from multifaceted.why.rows import iter_rows

REFUSAL = "I'm sorry, but I can't assist with that request."
KEY = "sk-proj-" + "a1B2" * 10


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six instructions in three variants, curated and built; some rows are refusals, some hold a key."""
    path = tmp_path_factory.mktemp("rows")
    lines = [
        {
            "id": f"i{n}",
            "prompt": f"Question {n}: why?\nÜber {n}.",
            "source": f"s{n % 3}",
            "topic": f"t{n % 2}",
        }
        for n in range(6)
    ]
    (path / "instructions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    same = {"Question 3": REFUSAL, "Question 4": f"My key is {KEY}, keep it."}
    with ChatServer(fault=answer_in_prose(same=same)) as server:
        recipe = {
            "instructions": {"path": "instructions.jsonl", "keep": ["topic"]},
            "model": {"base_url": server.base_url, "name": "some-model"},
            "shard_rows": 6,
        }
        (path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        plan = compile_plan(path / "recipe.yaml")
        asyncio.run(pipeline.generate(plan, path / "run", control=RunControl()))
    curate_run(path / "run", load_curation())
    build_folder(path / "run", path / "built")
    return path / "run"


def ids(place: Path, *where: str, **options: Any) -> list[str]:
    return [row["id"] for row in iter_rows(place, where=where, **options)]


def say(*words: object) -> Any:
    return CliRunner().invoke(app, ["rows", *(str(word) for word in words)])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["id=i2-v1"], ["i2-v1"]),
        (["instruction_id=i2"], ["i2-v1", "i2-v2", "i2-v3"]),
        (["instruction_id = i2", "variant=3"], ["i2-v3"]),
        (["prompt~question 2"], ["i2-v1", "i2-v2", "i2-v3"]),
        (["prompt~ÜBER 2", "variant=1"], ["i2-v1"]),
        (["prompt=Question 2: why?"], []),  # it has a second line
        (["source=s1", "topic=t0", "variant=2"], ["i4-v2"]),
        (["topic~T0", "source~1", "variant=2"], ["i4-v2"]),
        (["id~i2", "id~V2"], ["i2-v2"]),
        (["id=I2-V1"], []),
        (["output~="], []),
        (["original_source=", "id=i2-v1"], ["i2-v1"]),
    ],
)
def test_conditions_pick_rows(run: Path, where: list[str], found: list[str]) -> None:
    assert ids(run, *where) == found


def test_conditions_on_preferences_hold_for_one_of_them(run: Path) -> None:
    rows = list(iter_rows(run))
    style, other = rows[0]["preference_set"][:2]
    assert ids(run, "dimension=style") == [row["id"] for row in rows]
    both = [f"dimension={style['dimension']}", f"preference={style['preference']}"]
    assert rows[0]["id"] in ids(run, *both)
    assert rows[0]["id"] not in ids(run, f"dimension={other['dimension']}", both[1])
    assert rows[0]["id"] in ids(run, f"description~{style['description'][5:30].upper()}")
    assert ids(run, f"subdimension={style['subdimension']}", "id=i0-v1") == ["i0-v1"]


def test_rows_of_a_built_folder_are_picked_alike(run: Path) -> None:
    built = run.parent / "built"
    for where in (["instruction_id=i2"], ["topic=t1", "variant=1"], ["dimension=style", "output~the"]):
        assert ids(built, *where, kept=True) == ids(run, *where, kept=True)


def test_rows_are_picked_by_what_curation_says(run: Path) -> None:
    dropped, kept = ids(run, kept=False), ids(run, kept=True)
    assert sorted(dropped + kept) == sorted(ids(run))
    refused = list(iter_rows(run, reason="refusal"))
    assert refused
    assert all(row["output"] == REFUSAL for row in refused)
    assert {row["id"] for row in refused} < set(dropped)
    assert ids(run, "variant=9", reason="refusal") == []


def test_secrets_are_masked_wherever_they_stand(run: Path) -> None:
    rows = list(iter_rows(run, where=[f"output~{KEY}"]))
    assert rows
    assert all("[a secret]" in row["output"] for row in rows)
    said = say(run, "--json", "--limit", "0").stdout + say(run, "--full", "--limit", "0").stdout
    assert "[a secret]" in said
    assert KEY not in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"where": ["dimesion=style"]}, "unknown field 'dimesion'; did you mean 'dimension'?"),
        ({"where": ["topics=t0"]}, "unknown field 'topics'; did you mean 'topic'?"),
        ({"where": ["Prompt~x"]}, "unknown field 'Prompt'; did you mean 'prompt'?"),
        ({"where": ["variant!=2"]}, "did you mean 'variant'?"),
        ({"where": ["style"]}, "'style' is not a condition: write FIELD=VALUE"),
        ({"where": ["=x"]}, "unknown field ''; known here: id"),
        ({"where": [""]}, "is not a condition"),
        ({"reason": "refusals"}, "no filter is called 'refusals'; did you mean 'refusal'?"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_nearest_name(
    run: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        iter_rows(run, **options)
    assert words in str(refused.value)


def test_every_problem_of_the_conditions_is_told_at_once(run: Path) -> None:
    with pytest.raises(InputError) as refused:
        iter_rows(run, where=["a=1", "b", "id=i0-v1"])
    assert len(refused.value.problems) == 2


def test_a_built_folder_has_no_dropped_rows_to_show(run: Path) -> None:
    for options in ({"reason": "refusal"}, {"kept": False}):
        with pytest.raises(InputError, match="built folder"):
            iter_rows(run.parent / "built", **options)


def test_a_run_that_was_never_curated_says_so(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    plan = compile_plan(make_recipe(server.base_url, count=1, kind="bench", variants=1))
    asyncio.run(pipeline.generate(plan, tmp_path / "run", control=RunControl()))
    with pytest.raises(InputError, match="never curated"):
        iter_rows(tmp_path / "run", kept=True)
    build_folder(tmp_path / "run", tmp_path / "built")
    for place in (tmp_path / "run", tmp_path / "built"):
        assert ids(place, "dimension=style", "source=s0", "original_source=o", "system~a") == ["i0-v1"]


def test_the_list_is_short_and_says_where_there_is_more(run: Path) -> None:
    result = say(run, "--limit", "2")
    assert result.stdout.splitlines()[0].startswith("i0-v1  [style: ")
    assert "Question 0: why?" in result.stdout
    assert "Über" not in result.stdout  # the second line
    assert len(result.stdout.splitlines()) == 6
    assert "more than these 2" in result.stderr
    assert "more" not in say(run, "--limit", "18").stderr
    assert say(run, "--where", "id=x").stderr.strip() == "no finished row matches"


def test_json_is_one_whole_row_a_line(run: Path) -> None:
    result = say(run, "--where", "instruction_id=i1", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert rows == list(iter_rows(run, where=["instruction_id=i1"]))
    assert rows[0]["response"]["tokens"]["completion"] > 0


def test_kept_and_dropped_at_once_are_refused(run: Path) -> None:
    result = say(run, "--kept", "--reason", "refusal")
    assert isinstance(result.exception, MultifacetedError)


def test_a_stale_curation_is_said_to_be_stale(run: Path) -> None:
    marker = run / "manifest.json"
    content = marker.read_text()
    marker.unlink()
    try:
        assert "stale" in say(run, "--kept").stderr
    finally:
        marker.write_text(content)


@pytest.mark.parametrize("words", [(), ("--json",), ("--full",)], ids=str)
def test_terminals_without_unicode_get_escapes(
    run: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "argv", ["multifaceted", "rows", str(run), "--where", "prompt~über 1", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown.flush()
    text = shown.buffer.getvalue().decode("ascii")
    if words == ("--json",):
        assert json.loads(text.splitlines()[0])["prompt"] == "Question 1: why?\nÜber 1."
    elif words:
        assert r"\u00dcber 1." in text
