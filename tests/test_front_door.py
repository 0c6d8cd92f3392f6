"""`import multifaceted as mf`: every name, what it gives, and that it is what the commands call."""

import asyncio
import importlib
import os
import pkgutil
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa
import pytest
from conftest import MakeRecipe

import multifaceted as mf
from multifaceted.cli import app
from multifaceted.errors import InputError, InterruptedRunError, StorageError
from multifaceted.testing import ChatServer, Fault, make_reply

ROOT = Path(__file__).parents[1]
ROWS = [{"id": f"i{n}", "prompt": f"Question {n}: why?", "source": "s", "topic": n} for n in range(4)]


def model_of(server: ChatServer) -> dict[str, Any]:
    return {"base_url": server.base_url, "name": "some-model", "retry_wait": 0.01}


@pytest.fixture
def run(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> mf.Run:
    return mf.generate(make_recipe(server.base_url, count=4, variants=3), tmp_path / "run", progress=False)


def test_every_name_is_what_it_says_after_everything_was_imported() -> None:
    for module in pkgutil.walk_packages(mf.__path__, "multifaceted."):
        if module.name.split(".")[1] not in ("__main__", "builders", "templates"):
            importlib.import_module(module.name)
    for name in mf.__all__:
        found = getattr(mf, name)
        assert not isinstance(found, ModuleType), name
        assert isinstance(found, str) or found.__doc__, name
        assert name in dir(mf)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mf.nothing  # noqa: B018


def test_type_checkers_see_the_names_that_there_are() -> None:
    source = Path(str(mf.__file__)).read_text(encoding="utf-8")
    imported = re.findall(r"from multifaceted\.([\w.]+) import (\w+) as \w+", source)
    assert {(name, home) for home, name in imported} == set(mf._HOMES.items())


def test_the_reference_names_every_command_and_every_name() -> None:
    text = (ROOT / "docs/reference/python-api.md").read_text(encoding="utf-8")
    commands = {str(command.name or command.callback.__name__) for command in app.registered_commands}  # type: ignore[union-attr]
    assert {name for name in commands if f"`{name} " not in text} == set()
    shown = {*re.findall(r"mf\.(\w+)", text)} | {
        "BuiltFolder",
        "Curated",
        "MultifacetedError",
        "Run",
        "Taxonomy",
    }
    assert shown == set(mf.__all__)


@pytest.mark.parametrize(
    "make",
    [list, iter, pl.DataFrame, pd.DataFrame, datasets.Dataset.from_list, pa.Table.from_pylist],
    ids=["list", "iterator", "polars", "pandas", "dataset", "arrow"],
)
def test_a_recipe_in_python_makes_the_rows_of_its_file(
    server: ChatServer, tmp_path: Path, make: Callable[[list[dict[str, Any]]], Any]
) -> None:
    recipe = mf.Recipe(
        instructions={"path": mf_rows(make(ROWS)), "keep": ["topic"]},
        taxonomy=mf.load_taxonomy(),
        model=model_of(server),
        variants=2,
    )
    planned = mf.plan(recipe)
    assert (planned.rows, planned.requests) == (8, 24)
    made = mf.generate(recipe, tmp_path / "run", progress=False)
    assert made.status.rows == {"planned": 8, "ok": 8, "failed": 0, "pending": 0}
    assert made.to_polars()["topic"].to_list() == [n for n in range(4) for _ in range(2)]
    asked = len(server.bodies)
    assert mf.plan(recipe, made).rest is not None
    assert mf.plan(recipe, made).requests == 0
    assert mf.plan(tmp_path / "run/inputs/recipe.yaml", made).requests == 0
    mf.generate(recipe, tmp_path / "run", progress=False)
    assert len(server.bodies) == asked


def mf_rows(rows: Any) -> Any:
    from multifaceted.instructions import MemoryRows

    return MemoryRows(rows)


def test_texts_alone_are_instructions(server: ChatServer, tmp_path: Path) -> None:
    recipe = mf.Recipe(instructions=["Why?", "How?"], model=model_of(server), variants=1)
    made = mf.generate(recipe, tmp_path / "run", progress=False)
    assert made.to_polars()["prompt"].to_list() == ["Why?", "How?"]
    assert "Why?" in repr(mf.preview(recipe))


def test_another_recipe_in_the_same_folder_asks_only_what_is_new(server: ChatServer, tmp_path: Path) -> None:
    for count in (2, 4):
        recipe = mf.Recipe(instructions=ROWS[:count], model=model_of(server), variants=1, shard_rows=2)
        mf.generate(recipe, tmp_path / "run", progress=False)
    assert len(server.bodies) == 12


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"instructions": "pool.jsonl", "variants": 0}, "Recipe: variants: Input should be greater than"),
        ({"instructions": 3}, "must be rows, such as a list or a data frame, and is a int"),
        (
            {"instructions": datasets.DatasetDict({"train": []})},
            "is a DatasetDict of train: give one of these",
        ),
        ({"instructions": ROWS, "stages": {"a": {"after": "nix"}}}, "there is no stage 'nix'"),
        ({}, "Recipe: instructions: Field required"),
    ],
)
def test_a_faulty_recipe_is_told_with_its_place(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        mf.Recipe(**given, model={"base_url": "http://127.0.0.1:1/v1", "name": "m"})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "instructions: holds no instruction"),
        ([{"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"}], "instructions:2: duplicate id 'x'"),
        ([{"text": "a"}], "instructions:1: 'prompt' is missing"),
        ([3], "instructions:1: is not a JSON object"),
    ],
)
def test_faulty_rows_are_told_by_number_and_nothing_is_written(
    tmp_path: Path, rows: list[Any], message: str
) -> None:
    recipe = mf.Recipe(instructions=rows, model={"base_url": "http://127.0.0.1:1/v1", "name": "m"})
    with pytest.raises(InputError, match=re.escape(message)):
        mf.plan(recipe)


def test_a_folder_of_somebody_is_left_alone(server: ChatServer, tmp_path: Path) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "inputs/recipe.yaml").write_text("mine", encoding="utf-8")
    recipe = mf.Recipe(instructions=["Why?"], model=model_of(server))
    with pytest.raises(StorageError, match="in the way"):
        mf.generate(recipe, tmp_path, progress=False)
    assert (tmp_path / "inputs/recipe.yaml").read_text(encoding="utf-8") == "mine"


def test_a_start_that_stopped_after_writing_its_inputs_goes_on(server: ChatServer, tmp_path: Path) -> None:
    recipe = mf.Recipe(instructions=["Why?"], model=model_of(server), budget={"max_usd": 1})
    with pytest.raises(InputError, match="price"):  # none is known
        mf.generate(recipe, tmp_path / "run", progress=False)
    recipe = mf.Recipe(instructions=["Why?"], model=model_of(server), variants=1)
    assert mf.generate(recipe, tmp_path / "run", progress=False).status.finished


def test_what_a_run_gives(run: mf.Run, server: ChatServer) -> None:
    rows, frame = run.rows(), run.to_polars()
    assert isinstance(rows, datasets.Dataset)
    assert rows.num_rows == frame.height == 12
    assert rows["id"] == frame["id"].to_list()
    assert len(run.preview(2)) == 2
    assert run.preview(2)[0]["output"] in repr(run.preview(2))
    assert run.spent.replies == 36 == len(server.bodies)
    assert run.why("i0-v1").outcome == "ok"
    assert run.failures == []
    assert [row["id"] for row in mf.iter_rows(run, limit=2)] == ["i0-v1", "i0-v2"]


def test_failures_keep_their_replies(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def refuse(body: dict[str, Any]) -> Fault | None:
        return Fault(refusal="No, thanks.") if "Question 1" in str(body) else None

    with ChatServer(fault=refuse) as server:
        made = mf.generate(make_recipe(server.base_url, count=2), tmp_path / "run", progress=False)
        assert {failed.kind for failed in made.failures} == {"refused"}
        assert all("No, thanks." in str(reply) for reply in made.failures.read_replies())
        assert repr(made.failures) == "<3 failed rows: refused 3>"
        server.fault = lambda body: None
        assert mf.retry(made, progress=False).status.rows["ok"] == 6
    with pytest.raises(InputError, match="'refusd' is not a kind of failure"):
        made.list_failures(["refusd"])


def test_an_open_run_gives_the_rows_it_has(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def stop(body: dict[str, Any]) -> Fault | None:
        return Fault(status=401) if len(server.bodies) > 20 else None

    with ChatServer(fault=stop) as server:
        recipe = make_recipe(server.base_url, count=8, concurrency=1, shard_rows=6)
        with pytest.raises(mf.MultifacetedError):
            mf.generate(recipe, tmp_path / "run", progress=False)
    opened = mf.open_run(tmp_path / "run")
    assert not opened.status.finished
    assert 0 < opened.rows().num_rows == opened.to_polars().height == opened.status.rows["ok"]
    with pytest.raises(StorageError, match="holds no run"):
        mf.open_run(tmp_path)


def test_from_curation_to_the_trainer(run: mf.Run, tmp_path: Path) -> None:
    curated = mf.curate(run, progress=False)
    assert curated.kept + curated.dropped == 12
    assert run.curation == curated
    built = mf.build(run, tmp_path / "built")
    assert built.rows["sft"] == curated.kept == run.rows(curated=True).num_rows
    assert built.load("sft", split="train").num_rows == curated.kept
    assert mf.check(built).ok
    assert mf.diff(built, built).equal
    assert mf.export(built, tmp_path / "sft", trainer="trl", task="sft").written.rows["train"] == curated.kept
    (tmp_path / "built/README.md").write_text("changed", encoding="utf-8")
    assert "faults" in repr(mf.check(built))


def test_every_result_is_shown_in_a_line_or_as_text(run: mf.Run, tmp_path: Path, server: ChatServer) -> None:
    recipe = mf.Recipe(instructions=["Why?"], model=model_of(server), variants=1)
    curated, built = mf.curate(run, progress=False), mf.build(run, tmp_path / "built")
    results = [
        *(run, run.status, run.spent, run.failures, run.why("i0-v1"), curated, built, mf.check(built)),
        *(mf.plan(recipe), mf.plan(recipe, run), mf.export(run, tmp_path / "x", trainer="trl", task="sft")),
        *(mf.report(run, tmp_path / "report"), mf.diff(built, built), recipe, mf.load_taxonomy()),
    ]
    for result in results:
        assert len(repr(result)) < 300, repr(result)
        assert "object at 0x" not in repr(result)


def test_filters_work_on_any_frame() -> None:
    frame = pl.DataFrame(
        {
            "prompt": ["Why is the sky blue?", "Why is grass green?", "Say it."],
            "output": ["I'm sorry, but I cannot help with that.", "It reflects green light.", None],
        }
    )
    found = mf.find(frame, ["refusal", "truncated"])
    assert found.select("position", "reason").rows() == [(0, "refusal")]
    assert "refusal" in mf.find(frame)["reason"]
    others = (frame.to_dicts(), frame.lazy(), frame.to_pandas(), frame.to_arrow())
    for other in (*others, datasets.Dataset.from_list(frame.to_dicts())):
        assert mf.find(other, ["refusal"]).height == 1
    assert mf.find(frame.with_columns(id=pl.Series([5, 5, 6])), ["duplicate_id"]).height == 1
    with pytest.raises(InputError, match="there is no filter 'refusel'; did you mean 'refusal'"):
        mf.find(frame, ["refusel"])
    with pytest.raises(InputError, match="filter system_length: needs a column 'system'"):
        mf.find(frame, ["system_length"])
    with pytest.raises(InputError, match="has no column 'output'"):
        mf.find(frame.rename({"output": "answer"}))


def test_inside_an_event_loop_it_works_in_a_thread_and_tells_how_far_it_is(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    threads, seen = [], []

    async def notebook() -> mf.Run:
        def note(snapshot: Any) -> None:
            seen.append(snapshot)
            threads.append(threading.current_thread())

        return mf.generate(make_recipe(server.base_url), tmp_path / "run", progress=note)

    assert asyncio.run(notebook()).status.rows["ok"] == 30
    assert seen[0].planned in (0, 30)
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("loop", [True, False], ids=["in a notebook", "in a script"])
def test_ctrl_c_saves_what_came_in_and_the_same_call_goes_on(
    make_recipe: MakeRecipe, tmp_path: Path, *, loop: bool
) -> None:
    def interrupt(body: dict[str, Any]) -> Fault | None:
        if len(server.bodies) >= 30 and not sent:
            sent.append(body)
            os.kill(os.getpid(), signal.SIGINT)
        return None

    sent: list[Any] = []

    with ChatServer(fault=interrupt) as server:
        recipe = make_recipe(server.base_url)

        def generate() -> mf.Run:
            return mf.generate(recipe, tmp_path / "run", progress=False)

        async def notebook() -> mf.Run:
            return generate()

        start = partial(run_in_loop, notebook) if loop else generate
        with pytest.raises(InterruptedRunError, match="interrupted") as caught:
            start()
        assert "the same call goes on" in caught.value.hint
        assert generate().status.rows["ok"] == 30
        assert len(server.bodies) == 90


def run_in_loop(notebook: Callable[[], Any]) -> Any:
    """As a notebook runs a cell: Ctrl-C is Python's, and not that of `asyncio.run`."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(notebook())
    finally:
        loop.close()


def test_the_import_is_quick_and_brings_nothing_heavy() -> None:
    code = "import sys, multifaceted; print(len([m for m in sys.modules if m.startswith('multifaceted.')]))"
    start = time.process_time()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"
    assert time.process_time() - start < 5


def test_a_trial_row_is_made_and_no_run(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = mf.Recipe(instructions=["Why?"], model=model_of(server))
    [tried] = mf.try_rows(recipe)
    assert tried.row is not None
    assert tried.row["output"] in tried.text
    assert mf.try_rows(recipe) == [tried]
    assert len(server.bodies) == 3
    assert make_reply(server.bodies[-1])
