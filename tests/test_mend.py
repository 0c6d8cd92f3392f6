"""Run folders with damaged files: the run goes on, and nothing that is on disk is asked for again."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted

from multifaceted.testing import ChatServer


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_foreign(path: Path) -> None:
    path.write_text('{"name": "of somebody", "data": [1, 2]}')


def nest(path: Path) -> None:
    path.write_text("[" * 200_000)


def become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = (truncate, empty, write_foreign, nest, become_pipe)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    "name", ["run.json", "manifest.json", "shards/00000/shard.json", "shards/00001/shard.json"]
)
def test_a_damaged_marker_is_found_by_check_and_generate_goes_on_without_asking(
    name: str, damage: Callable[[Path], None], server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe, run = make_recipe(server.base_url, count=8), tmp_path / "run"  # two shards of 12 rows
    assert multifaceted("generate", recipe, "--run", run).returncode == 0
    whole = (run / "manifest.json").read_bytes()
    paid = len(server.bodies)
    damage(run / name)
    for command in ("status", "rows", "failures", "check"):
        shown = multifaceted(command, run)
        assert shown.returncode in (0, 1, 2)
        assert "new run folder" not in shown.stderr
    assert multifaceted("check", run).returncode == 1
    assert str(run / name) in multifaceted("check", run).stdout
    # A journal that is gone as well must not be paid for again, as long as the rows are there.
    if "shard" in name:
        (run / name).with_name("journal.sqlite").unlink()
    again = multifaceted("generate", recipe, "--run", run)
    assert (again.returncode, len(server.bodies)) == (0, paid), again.stderr
    assert (run / "manifest.json").read_bytes() == whole
    assert (run / f"{name}.damaged").exists() or damage is become_pipe
    assert multifaceted("check", run).returncode == 0


def test_a_damaged_journal_is_no_full_disk_and_what_can_be_read_of_it_is_not_paid_for_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe, run = make_recipe(server.base_url, count=40, shard_rows=200), tmp_path / "run"
    assert multifaceted("generate", recipe, "--run", run).returncode == 0
    journal, paid = run / "shards/00000/journal.sqlite", len(server.bodies)
    (run / "shards/00000/rows.arrow").unlink()
    data = bytearray(journal.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 8192] = os.urandom(8192)
    journal.write_bytes(bytes(data))
    assert f"{journal} is damaged" in multifaceted("check", run).stdout
    refused = multifaceted("generate", recipe, "--run", run)
    assert (refused.returncode, "free some disk" in refused.stderr) == (2, False)
    assert "--salvage" in refused.stderr
    assert len(server.bodies) == paid
    made = multifaceted("generate", recipe, "--run", run, "--salvage")
    assert made.returncode == 0, made.stderr
    assert "replies could be read; the damaged file is journal.sqlite.damaged" in made.stderr
    asked_again = len(server.bodies) - paid
    assert 0 < asked_again < 30  # two pages of 360 replies
    assert (journal.with_name("journal.sqlite.damaged")).read_bytes() == bytes(data)
    assert multifaceted("check", run).returncode == 0


@pytest.mark.parametrize("name", ["manifest.json", "run.json", "shards", "batches"])
def test_a_run_never_starts_in_a_folder_where_somebodys_files_are_in_the_way(
    name: str, server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe, run = make_recipe(server.base_url, count=1), tmp_path / "run"
    run.mkdir()
    (run / name).write_text(json.dumps({"mine": 1}))
    made = multifaceted("generate", recipe, "--run", run)
    assert (made.returncode, "not of a run" in made.stderr) == (2, True)
    assert (list(run.iterdir()), server.bodies) == ([run / name], [])


def test_check_says_how_a_damaged_run_goes_on(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url, count=3, variants=1)
    assert multifaceted("generate", recipe, "--run", tmp_path / "run").returncode == 0
    (tmp_path / "run/shards/00000/shard.json").write_text("{")
    ended = multifaceted("check", tmp_path / "run")
    assert ended.returncode == 1
    command = f"multifaceted generate {recipe} --run {tmp_path / 'run'}"
    assert ended.stdout.splitlines()[-1].endswith(f"no reply is paid twice: {command}")
    asked = len(server.bodies)
    assert multifaceted(*command.split()[1:]).returncode == 0
    assert (len(server.bodies), multifaceted("check", tmp_path / "run").returncode) == (asked, 0)
