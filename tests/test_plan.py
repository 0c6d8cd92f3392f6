"""Compiling: every problem before anything is spent, and a plan that is the same each time."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_stream
from multifaceted.planning import Plan, compile_plan
from multifaceted.records import RowTask
from multifaceted.stages import SHIPPED

NAMES = dict.fromkeys(SHIPPED, "some-model")
MODEL = {"base_url": "http://localhost:8000/v1", "name": "some-model"}
TAXONOMY = """\
name: tiny
version: 1.0.0
dimensions:
  - slug: style
    name: Style
    description: How it is written.
    subdimensions:
      - slug: tone
        name: Tone
        description: How it sounds.
        preferences: [{slug: warm, name: Warm words, description: Wants warmth.}]
"""


def write_pool(folder: Path, prompts: list[str]) -> Path:
    path = folder / "instructions.jsonl"
    rows = [json.dumps({"id": f"i{n}", "prompt": prompt}) for n, prompt in enumerate(prompts)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def write_recipe(folder: Path, *, count: int = 5, **changes: Any) -> Path:
    """A sound recipe of `count` instructions in three variants; `changes` replace or add keys."""
    write_pool(folder, [f"Question {n}?" for n in range(count)])
    recipe: dict[str, Any] = {
        "instructions": {"path": "instructions.jsonl"},
        "model": MODEL,
        "shard_rows": 7,
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, **changes}), encoding="utf-8")
    return path


def problems_of(recipe: Path) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        compile_plan(recipe)
    return caught.value.problems


def tasks_of(plan: Plan) -> list[RowTask]:
    read = plan.read_shards(list(plan.shards))
    return [task for _, instructions in read for one in instructions for task in plan.tasks_of(one)]


def test_a_plan_knows_every_row_and_cuts_shards_at_whole_instructions(tmp_path: Path) -> None:
    plan = compile_plan(write_recipe(tmp_path))
    assert (plan.instructions, plan.rows) == (5, 15)
    assert [(s.name, s.start, s.stop) for s in plan.shards] == [
        ("00000", 0, 2),
        ("00001", 2, 4),
        ("00002", 4, 5),
    ]
    assert [plan.rows_in(shard) for shard in plan.shards] == [6, 6, 3]


def test_every_row_has_an_id_and_a_seed_of_its_own(tmp_path: Path) -> None:
    tasks = tasks_of(compile_plan(write_recipe(tmp_path)))
    assert [task.id for task in tasks] == [f"i{n}-v{v}" for n in range(5) for v in (1, 2, 3)]
    assert len({task.seed for task in tasks}) == 15
    assert all(0 <= task.seed < 2**31 for task in tasks)


def test_the_variants_of_an_instruction_differ_in_every_subdimension(tmp_path: Path) -> None:
    tasks = tasks_of(compile_plan(write_recipe(tmp_path)))
    for first in range(0, 15, 3):
        for dimension in ("style", "harmlessness"):
            ids = [task.sampled[dimension].id for task in tasks[first : first + 3]]
            assert len({preference_id.rpartition("/")[0] for preference_id in ids}) == 3


def test_two_compilations_give_the_same_rows_and_another_seed_gives_others(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    tasks = tasks_of(compile_plan(recipe))
    assert tasks_of(compile_plan(recipe)) == tasks
    others = tasks_of(compile_plan(write_recipe(tmp_path, seed=8)))
    assert [task.id for task in others] == [task.id for task in tasks]
    assert {task.seed for task in others}.isdisjoint(task.seed for task in tasks)
    assert [task.sampled.ids for task in others] != [task.sampled.ids for task in tasks]


def test_rows_do_not_depend_on_the_pool_around_them(tmp_path: Path) -> None:
    few = tasks_of(
        compile_plan(write_recipe(tmp_path, instructions={"path": "instructions.jsonl", "limit": 2}))
    )
    many = tasks_of(compile_plan(write_recipe(tmp_path, shard_rows=100)))
    assert len(few) == 6
    assert many[:6] == few


def test_wanted_shards_alone_are_read(tmp_path: Path) -> None:
    plan = compile_plan(write_recipe(tmp_path))
    read = list(plan.read_shards([plan.shards[0], plan.shards[2]]))
    assert [(shard.index, [i.id for i in instructions]) for shard, instructions in read] == [
        (0, ["i0", "i1"]),
        (2, ["i4"]),
    ]


def test_the_first_tasks_are_those_of_the_run(tmp_path: Path) -> None:
    plan = compile_plan(write_recipe(tmp_path))
    assert plan.first_tasks(4) == tasks_of(plan)[:4]
    assert len(plan.first_tasks(100)) == 15


@pytest.mark.parametrize("prompts", [["Question 0?", "Question 1?", "Another?"], ["Question 0?"], None])
def test_instructions_that_changed_since_the_plan_was_made_are_refused(
    tmp_path: Path, prompts: list[str] | None
) -> None:
    plan = compile_plan(write_recipe(tmp_path, count=3))
    if prompts is None:
        Path(str(plan.recipe.instructions.path)).unlink()
    else:
        write_pool(tmp_path, prompts)
    with pytest.raises(InputError, match=r"instructions\.jsonl"):
        list(plan.read_shards(list(plan.shards)))


def test_problems_of_taxonomy_templates_and_instructions_are_listed_together(tmp_path: Path) -> None:
    stages = {"response": {"template": "one.j2"}}
    recipe = write_recipe(tmp_path, stages=stages, repair="two.j2", taxonomy="taxonomy.yaml")
    (tmp_path / "one.j2").write_text("{% block user %}{{ instructoin }}{% endblock %}", encoding="utf-8")
    (tmp_path / "two.j2").write_text("no block", encoding="utf-8")
    (tmp_path / "taxonomy.yaml").write_text("name: tiny\nversion: one\ndimensions: []\n", encoding="utf-8")
    write_pool(tmp_path, ["fine", "", " "])
    found = [(Path(problem.file).name, problem.line) for problem in problems_of(recipe)]
    assert found == [
        ("instructions.jsonl", 2),
        ("instructions.jsonl", 3),
        ("one.j2", 1),
        ("taxonomy.yaml", 2),
        ("taxonomy.yaml", 3),
        ("two.j2", 0),
    ]


def test_files_that_are_not_there_are_listed_together(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, taxonomy="t.yaml", repair="r.j2", instructions={"path": "i.jsonl"})
    found = [Path(problem.file).name for problem in problems_of(recipe)]
    assert found == ["i.jsonl", "r.j2", "t.yaml"]


def test_templates_that_stumble_over_their_values_are_all_found_before_the_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, stages={"preferences": {"template": "one.j2"}}, repair="two.j2")
    (tmp_path / "one.j2").write_text("{% block user %}\n{{ sampled[0].nme }}{% endblock %}", encoding="utf-8")
    (tmp_path / "two.j2").write_text("{% block user %}{{ problems.txt }}{% endblock %}", encoding="utf-8")
    found = [(Path(problem.file).name, problem.line) for problem in problems_of(recipe)]
    assert found == [("one.j2", 2), ("two.j2", 1)]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 8},
        {"variants": 2},
        {"model": {**MODEL, "temperature": 0.5}},
        {"model": {**MODEL, "temperature": None}},
        {"model": {**MODEL, "extra_body": {"top_k": 5}}},
        {"stages": {"response": {"model": {"temperature": 0.5}}}},
        {"stages": {"response": {"template": "own.j2"}}},
        {"taxonomy": "own.yaml"},
    ],
    ids=str,
)
def test_the_fingerprint_changes_with_what_rows_depend_on(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "own.j2").write_text("{% block user %}{{ instruction }}{% endblock %}", encoding="utf-8")
    (tmp_path / "own.yaml").write_text(TAXONOMY, encoding="utf-8")
    before = compile_plan(write_recipe(tmp_path))
    after = compile_plan(write_recipe(tmp_path, **change))
    assert before.fingerprint(NAMES) != after.fingerprint(NAMES)
    prints = [plan.shard_fingerprint(plan.shards[0], plan.fingerprint(NAMES)) for plan in (before, after)]
    assert prints[0] != prints[1]


def test_the_fingerprint_changes_with_the_name_of_a_model(tmp_path: Path) -> None:
    plan = compile_plan(write_recipe(tmp_path))
    assert plan.fingerprint(NAMES) != plan.fingerprint({**NAMES, "response": "another-model"})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another_name"},
        {"concurrency": 1},
        {"model": {**MODEL, "timeout": 1, "max_attempts": 1, "retry_wait": 9}},
        {"model": {**MODEL, "base_url": "https://elsewhere.example/v1", "api_key_env": "OTHER_KEY"}},
    ],
    ids=str,
)
def test_the_fingerprint_does_not_change_with_how_a_run_is_done(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    before = compile_plan(write_recipe(tmp_path))
    after = compile_plan(write_recipe(tmp_path, **change))
    assert before.fingerprint(NAMES) == after.fingerprint(NAMES)
    assert before.shards == after.shards


def test_a_shard_has_a_fingerprint_of_its_own_instructions(tmp_path: Path) -> None:
    before = compile_plan(write_recipe(tmp_path, count=4))
    write_pool(tmp_path, ["Question 0?", "Question 1?", "Question 2?", "Another?"])
    after = compile_plan(tmp_path / "recipe.yaml")
    first, second = (
        [plan.shard_fingerprint(shard, plan.fingerprint(NAMES)) for shard in plan.shards]
        for plan in (before, after)
    )
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_pool_without_kept_fields_has_the_digest_of_its_four_fields_alone(tmp_path: Path) -> None:
    [shard] = compile_plan(write_recipe(tmp_path, count=1)).shards
    row = {"id": "i0", "prompt": "Question 0?", "source": "", "original_source": ""}
    assert shard.digest == hash_stream([row])


def test_kept_fields_travel_with_the_instructions_and_count_in_the_digest(tmp_path: Path) -> None:
    spec = {"path": "pool.csv", "keep": ["topic", "level"]}
    recipe = write_recipe(tmp_path, instructions=spec)
    (tmp_path / "pool.csv").write_text("id,prompt,level,topic,note\na,Why?,1,sky,x\n")
    before = compile_plan(recipe)
    assert list(before.kept.items()) == [("topic", "string"), ("level", "string")]
    assert tasks_of(before)[0].instruction.metadata == {"topic": "sky", "level": "1"}
    (tmp_path / "pool.csv").write_text("id,prompt,level,topic,note\na,Why?,1,sea,x\n")
    assert compile_plan(recipe).shards[0].digest != before.shards[0].digest


def test_a_kept_field_that_the_pool_has_not_is_found_before_the_run(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, instructions={"path": "instructions.jsonl", "keep": ["topic"]})
    assert [problem.message for problem in problems_of(recipe)] == ["no instruction has a field 'topic'"]
