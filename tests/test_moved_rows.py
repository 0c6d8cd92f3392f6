"""Rows that move to another shard take with them what was paid for."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_generate import run

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.journal import read_replies, sum_replies
from multifaceted.planning import compile_plan
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault

REQUESTS = 9  # of one instruction in three variants
Pool = list[dict[str, str]]


def ask(number: int) -> dict[str, str]:
    return {"id": f"i{number}", "prompt": f"Question {number}: why?"}


def write_pool(recipe: Path, pool: Pool) -> Path:
    lines = "".join(json.dumps(row) + "\n" for row in pool)
    (recipe.parent / "instructions.jsonl").write_text(lines, encoding="utf-8")
    return recipe


TEN = [ask(n) for n in range(10)]
NEW = [ask(n) for n in range(100, 104)]


@pytest.mark.parametrize(
    ("edit", "new"),
    [
        (lambda pool: [*pool[:5], *NEW, *pool[5:]], 4),  # in the middle, a finished shard's worth
        (lambda pool: [NEW[0], *pool], 1),  # at the front: every shard changes
        (lambda pool: pool[3:], 0),  # deleted: all shards change
        (lambda pool: pool[::-1], 0),  # every row moves
        (lambda pool: [*pool[5:], NEW[1], *pool[1:5]], 1),
    ],
    ids=["middle", "front", "first deleted", "reversed", "all at once"],
)
def test_an_edited_pool_asks_for_its_new_rows_and_for_no_others(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, edit: Callable[[Pool], Pool], new: int
) -> None:
    recipe = write_pool(make_recipe(server.base_url), TEN)
    run(recipe, tmp_path / "run")
    run(write_pool(recipe, edit(TEN)), tmp_path / "run")
    assert len(server.bodies) == (10 + new) * REQUESTS
    assert read_status(RunFolder(tmp_path / "run")).requests["total"] == (10 + new) * REQUESTS
    whole = run(recipe, tmp_path / "afresh")
    names = [f"shards/{shard.name}/rows.arrow" for shard in whole.summaries]
    folders = (tmp_path / "run", tmp_path / "afresh")
    mine, afresh = ([(folder / name).read_bytes() for name in names] for folder in folders)
    assert mine == afresh


def test_any_number_of_edits_pays_for_each_row_once(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe, folder = make_recipe(server.base_url), tmp_path / "run"
    for pool in (TEN[:6], [*NEW, *TEN], TEN[4:], [*TEN[::-1], *NEW], TEN):
        last = run(write_pool(recipe, pool), folder)
    assert (len(server.bodies), server.repeats) == (14 * REQUESTS, 0)
    run(make_recipe(server.base_url, instructions={"path": "instructions.jsonl", "limit": 3}), folder)
    status = read_status(RunFolder(folder))  # what shards cost that are no more was paid all the same
    assert (len(server.bodies), status.requests["total"]) == (14 * REQUESTS, 14 * REQUESTS)
    assert last.ok == 30


def test_batches_ask_for_new_rows_only(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe(server.base_url, mode="batch", batch={"poll_seconds": 0.01})
    run(write_pool(recipe, TEN), tmp_path / "run")
    run(write_pool(recipe, [*TEN[:2], *NEW, *TEN[2:]]), tmp_path / "run")
    assert (server.batch_lines, server.repeats) == (14 * REQUESTS, 0)


def test_processes_that_share_a_run_take_replies_from_each_others_shards(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = write_pool(make_recipe(server.base_url), TEN)
    run(recipe, tmp_path / "run")
    write_pool(recipe, [*NEW, *TEN])
    for shards in (range(3, 4), range(2), range(2, 3)):
        run(recipe, tmp_path / "run", shards=shards)
    assert (len(server.bodies), server.repeats) == (14 * REQUESTS, 0)


def refuse_once(asked: list[str]) -> Callable[[dict[str, Any]], Fault | None]:
    def fault(body: dict[str, Any]) -> Fault | None:
        text = body["messages"][-1]["content"]
        if "response_format" in body or not text.startswith("Question 9:"):
            return None
        asked.append(text)
        return Fault(refusal="no") if len(asked) == 1 else None

    return fault


def test_a_reply_that_was_set_aside_stays_so_wherever_its_row_moves(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    asked: list[str] = []
    with ChatServer(fault=refuse_once(asked)) as server:
        recipe = write_pool(make_recipe(server.base_url, variants=1, shard_rows=4), TEN)
        assert run(recipe, tmp_path / "run").failures == {"refused": 1}
        moved = run(write_pool(recipe, [*NEW, *TEN]), tmp_path / "run")
        assert (moved.failures, len(asked)) == ({"refused": 1}, 1)  # it was paid for, and is not asked again
        plan = compile_plan(recipe, instructions_per_shard=4)
        asyncio.run(pipeline.generate(plan, tmp_path / "run", control=RunControl(), retry=["refused"]))
        assert len(asked) == 2
        back = run(write_pool(recipe, TEN), tmp_path / "run")
        assert (back.failures, len(asked)) == ({}, 2)  # the better reply goes back with its row


def test_why_knows_the_replies_of_a_moved_row_and_their_cost_counts_once(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = write_pool(make_recipe(server.base_url), TEN)
    run(recipe, tmp_path / "run")
    before = read_status(RunFolder(tmp_path / "run"))
    run(write_pool(recipe, TEN[1:]), tmp_path / "run")
    assert read_status(RunFolder(tmp_path / "run")).tokens == before.tokens
    file = RunFolder(tmp_path / "run").journal_file("00000")
    assert [reply.mode for reply in read_replies(file, "i4-v1", [])] == ["copied"] * 3
    assert sum(part.replies for part in sum_replies(file)) == 4 * REQUESTS
