"""Two built folders beside each other."""

import json
from pathlib import Path

from conftest import MakeRecipe
from test_cli import multifaceted
from test_generate import run

from multifaceted.building.folder import build_folder
from multifaceted.reporting.compare import compare_folders
from multifaceted.testing import ChatServer, Fault


def test_equal_rows_are_equal_in_either_format(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    run(make_recipe(server.base_url), tmp_path / "run")
    build_folder(tmp_path / "run", tmp_path / "a", file_format="arrow")
    build_folder(tmp_path / "run", tmp_path / "b", file_format="parquet")
    found = compare_folders(tmp_path / "a", tmp_path / "b")
    assert found.equal
    assert {name: diff.rows for name, diff in found.configs.items()}["sft"] == (30, 30)
    assert "all rows are the same" in multifaceted("diff", tmp_path / "a", tmp_path / "b").stdout


def test_added_removed_and_changed_rows_are_told_with_their_fields(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer() as server:
        run(make_recipe(server.base_url, count=10), tmp_path / "old")
    strange = {"Question 3: why?": Fault(content="Another answer."), "Question 4: why?": Fault(refusal="No.")}
    with ChatServer(fault=lambda body: strange.get(body["messages"][-1]["content"])) as server:
        run(make_recipe(server.base_url, count=12), tmp_path / "new")
    for name in ("old", "new"):
        build_folder(tmp_path / name, tmp_path / f"{name}_built")
    result = multifaceted("diff", tmp_path / "old_built", tmp_path / "new_built", "--json")
    found = json.loads(result.stdout)
    sft = found["configs"]["sft"]
    assert (sft["rows"], sft["added"], sft["removed"], sft["changed"]) == ([30, 33], 6, 3, 3)
    assert sft["fields"] == {"output": 3}
    assert sft["examples"]["removed"] == ["i4-v1", "i4-v2", "i4-v3"]
    assert (found["equal"], found["failed"]) == (False, [0, 3])
    text = multifaceted("diff", tmp_path / "old_built", tmp_path / "new_built").stdout
    assert "output (3)" in text


def test_a_folder_that_was_not_built_is_refused(tmp_path: Path) -> None:
    result = multifaceted("diff", tmp_path, tmp_path)
    assert (result.returncode, "is not a built folder" in result.stderr) == (2, True)
