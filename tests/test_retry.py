"""Failed rows: listed with their raw replies, asked for again alone, and a bound on how many there may be."""

import asyncio
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted
from test_generate import failures_of, rows_of, run

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.errors import FailureKind, LimitReachedError
from multifaceted.planning import compile_plan
from multifaceted.store.manifest import RunData, read_layout
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault

STRUCK = "Question 2: why?"


def strike(fault: Fault, question: str = STRUCK) -> Callable[[dict[str, Any]], Fault | None]:
    return lambda body: fault if body["messages"][-1]["content"] == question else None


def ask_again(recipe: Path, folder: Path, *kinds: FailureKind) -> RunData:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    wanted: Collection[FailureKind] = kinds
    return asyncio.run(pipeline.generate(plan, folder, control=RunControl(), retry=wanted))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(refusal="I will not."), "refused"),
        (Fault(finish_reason="content_filter"), "content_filter"),
        (Fault(content=" "), "empty_reply"),
        (Fault(status=400), "request_rejected"),
    ],
)
def test_what_running_again_leaves_alone_is_asked_again_on_order(
    make_recipe: MakeRecipe, tmp_path: Path, fault: Fault, kind: FailureKind
) -> None:
    with ChatServer(fault=strike(fault)) as server:
        recipe = make_recipe(server.base_url, variants=1)
        assert (run(recipe, tmp_path / "run").failed, len(server.bodies)) == (1, 30)
        server.fault = None
        assert (run(recipe, tmp_path / "run").failed, len(server.bodies)) == (1, 30)
        data = ask_again(recipe, tmp_path / "run", kind)
        assert (data.ok, data.failed, len(server.bodies)) == (10, 0, 31)
    assert [row["id"] for row in rows_of(tmp_path / "run", data)] == [f"i{n}-v1" for n in range(10)]


def test_the_second_request_has_another_seed_and_the_first_reply_is_kept(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike(Fault(refusal="I will not."))) as server:
        recipe = make_recipe(server.base_url, variants=1)
        run(recipe, tmp_path / "run")
        server.fault = None
        ask_again(recipe, tmp_path / "run", "refused")
        first, second = [b for b in server.bodies if b["messages"][-1]["content"] == STRUCK]
    assert first.pop("seed") != second.pop("seed")
    assert first == second
    assert read_status(RunFolder(tmp_path / "run")).requests["total"] == 31


def test_a_row_that_fails_anew_keeps_its_newest_reply_and_can_be_ordered_again(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike(Fault(refusal="No."))) as server:
        recipe = make_recipe(server.base_url, variants=1)
        run(recipe, tmp_path / "run")
        seeds = set()
        for words in ("Never.", "Not at all."):
            server.fault = strike(Fault(refusal=words))
            data = ask_again(recipe, tmp_path / "run", "refused")
            assert data.failed == 1
            [record] = failures_of(tmp_path / "run", data)
            assert words in record.message
            seeds.add(server.bodies[-1]["seed"])
    assert len(seeds) == 2


def test_only_the_kinds_that_were_named_are_asked_again(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    faults = {"Question 1: why?": Fault(refusal="No."), STRUCK: Fault(finish_reason="length")}
    with ChatServer(fault=lambda body: faults.get(body["messages"][-1]["content"])) as server:
        recipe = make_recipe(server.base_url, variants=1)
        run(recipe, tmp_path / "run")
        server.fault = None
        data = ask_again(recipe, tmp_path / "run", "refused")
        assert [record.kind for record in failures_of(tmp_path / "run", data)] == ["truncated"]
        assert len(server.bodies) == 31


def test_truncated_replies_are_asked_again_with_a_larger_max_tokens_and_nothing_else_is(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    def cut(body: dict[str, Any]) -> Fault | None:
        short = body["max_tokens"] < 2048 and body["messages"][-1]["content"] == STRUCK
        return Fault(finish_reason="length") if short else None

    with ChatServer(fault=cut) as server:
        recipe = make_recipe(server.base_url, variants=1)
        assert run(recipe, tmp_path / "run").failed == 1
        larger = {"response": {"model": {"max_tokens": 2048}}}
        data = run(make_recipe(server.base_url, variants=1, stages=larger), tmp_path / "run")
        assert (data.ok, data.failed) == (10, 0)
        assert len(server.bodies) == 31
        # A smaller one asks for nothing: whole replies stay whole.
        run(make_recipe(server.base_url, variants=1), tmp_path / "run")
        assert len(server.bodies) == 31


@pytest.mark.parametrize(("bound", "most_rows"), [(3, 60), (0.1, 140)])
def test_too_many_failures_stop_the_run_and_it_goes_on_where_the_bound_is_raised(
    make_recipe: MakeRecipe, tmp_path: Path, bound: float, most_rows: int
) -> None:
    with ChatServer(fault=lambda body: Fault(refusal="No.") if body["seed"] % 4 == 0 else None) as server:
        recipe = make_recipe(server.base_url, count=100, stop_after_failures=bound)
        with pytest.raises(LimitReachedError, match="stop_after_failures"):
            run(recipe, tmp_path / "run")
        assert len(server.bodies) < 3 * most_rows
        server.fault = None
        data = run(make_recipe(server.base_url, count=100), tmp_path / "run")
        assert (data.planned, data.ok + data.failed) == (300, 300)
        assert server.repeats == 0


def test_failures_are_listed_with_kind_stage_and_raw_reply(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=strike(Fault(refusal="I will not."))) as server:
        recipe = make_recipe(server.base_url)
        assert multifaceted("generate", recipe, "--run", tmp_path / "run").returncode == 1
        lines = multifaceted("failures", tmp_path / "run", "--json").stdout.splitlines()
        records = [json.loads(line) for line in lines]
        assert {record["id"] for record in records} == {f"i2-v{n}" for n in (1, 2, 3)}
        assert all((r["kind"], r["stage"]) == ("refused", "response") for r in records)
        assert all("I will not." in record["reply"] for record in records)
        table = multifaceted("failures", tmp_path / "run", "--kind", "refused").stdout
        assert "3 failed rows; ask again with: multifaceted retry" in table
        other = multifaceted("failures", tmp_path / "run", "--kind", "truncated").stdout
        assert other == "no row failed with truncated\n"
        server.fault = None
        again = multifaceted("retry", tmp_path / "run", "--kind", "refused")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "30 rows planned = 30 ok + 0 failed")


def test_a_retry_of_a_run_without_a_whole_shard_says_how_to_go_on(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike(Fault(refusal="No."), "Question 0: why?")) as server:
        recipe = make_recipe(server.base_url, stop_after_failures=0)
        with pytest.raises(LimitReachedError):
            run(recipe, tmp_path / "run")
        asked = len(server.bodies)
        again = multifaceted("retry", tmp_path / "run")
        assert (again.returncode, again.stdout, len(server.bodies)) == (2, "", asked)
    assert "no shard is finished yet" in again.stderr
    assert f"multifaceted generate {recipe} --run {tmp_path / 'run'}" in " ".join(again.stderr.split())


@pytest.mark.parametrize("refused", [False, True])
def test_a_retry_takes_whole_shards_and_tells_of_the_others(
    make_recipe: MakeRecipe, tmp_path: Path, refused: bool
) -> None:
    fault = Fault(refusal="No.")
    with ChatServer(fault=strike(fault)) as server:
        recipe = make_recipe(server.base_url)
        first = multifaceted("generate", recipe, "--run", tmp_path / "run", "--shards", "0")
        assert (first.returncode, "1 of 3 shards are finished" in first.stdout) == (1, True)
        asked = len(server.bodies)
        server.fault = strike(fault) if refused else None
        again = multifaceted("retry", tmp_path / "run")
        assert len(server.bodies) == asked + 3
    rows = "9 ok + 3 failed" if refused else "12 ok + 0 failed"
    assert again.returncode == int(refused)
    assert again.stdout.startswith(f"30 rows planned = {rows} + 18 pending\n")
    assert f"2 of 3 shards are not finished yet; resume with: multifaceted generate {recipe}" in again.stdout


def test_a_kind_that_does_not_exist_is_exit_code_2_with_the_one_that_was_meant(tmp_path: Path) -> None:
    result = multifaceted("failures", tmp_path, "--kind", "refusd", "--kind", "truncated")
    assert (result.returncode, "'refusd'" in result.stderr, "'refused'" in result.stderr) == (2, True, True)


def test_a_bound_that_is_exceeded_is_exit_code_3(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=strike(Fault(refusal="No."))) as server:
        recipe = make_recipe(server.base_url, stop_after_failures=0)
        result = multifaceted("generate", recipe, "--run", tmp_path / "run")
    assert result.returncode == 3
    assert "stop_after_failures" in result.stderr
