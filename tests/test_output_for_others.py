"""What others read: names of folders, line ends in JSON lines, licenses that the Hub takes."""

import json
from pathlib import Path

import pytest
from conftest import MakeRecipe, write_recipe
from test_cli import multifaceted
from test_generate import run

from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import StorageError
from multifaceted.exporting.write import write_view
from multifaceted.ids import json_line
from multifaceted.licenses import LICENSES
from multifaceted.publishing.pull import pull
from multifaceted.testing import ChatServer

LINE_ENDS = "a\u0085b\u2028c\u2029d\x0be\x0cf\x1cg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    with ChatServer() as server:
        run(write_recipe(folder, server.base_url, count=2, variants=1, license="mit"), folder / "run")
    return folder / "run"


@pytest.mark.parametrize("name", ["a[1]", "a*b", "a?b", "a::b", "$HOME", "${HOME}"])
def test_folders_that_load_dataset_would_misread_are_refused(made: Path, tmp_path: Path, name: str) -> None:
    for write in (
        lambda out: build_folder(made, out),
        lambda out: pull("org/name", out),
        lambda out: write_view(made, out, trainer="trl", task="sft"),
    ):
        with pytest.raises(StorageError, match="load_dataset could not read"):
            write(tmp_path / name / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_odd_names_of_folders_load(made: Path, tmp_path: Path) -> None:
    for name in ("a b", "a{b}", "a#b", "a%20b", "~a", "-a", "a:b", "é", "x.zip", "a'b&c=d"):
        build_folder(made, tmp_path / name)
        assert check_folder(tmp_path / name) == [], name


def test_json_lines_are_lines_for_every_reader() -> None:
    line = json_line({"text": LINE_ENDS})
    assert line.splitlines() == [line[:-1]]
    assert json.loads(line) == {"text": LINE_ENDS}


def test_every_file_of_json_lines_has_a_line_for_each_value(tmp_path: Path) -> None:
    prompts = [f"Why is {LINE_ENDS} so, {n}?" for n in range(3)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))
    (tmp_path / "sources.yaml").write_text("sources: [{path: pool.jsonl}]\nnear_duplicates: null\n")
    ended = multifaceted("instructions", "prepare", "sources.yaml", "--out", "out.jsonl", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("cc-by-4", "did you mean 'cc-by-4.0'"),
        ("Apache 2.0", "did you mean 'apache-2.0'"),
        ("mine", "for one not in its list write 'other'"),
    ],
)
def test_a_license_that_the_hub_refuses_is_refused_by_plan(
    make_recipe: MakeRecipe, tmp_path: Path, name: str, told: str
) -> None:
    ended = multifaceted("plan", make_recipe("http://127.0.0.1:9/v1", license=name), cwd=tmp_path)
    assert ended.returncode == 2
    assert told in ended.stderr


def test_a_license_that_the_hub_refuses_is_found_by_check(made: Path, tmp_path: Path) -> None:
    build_folder(made, tmp_path / "out")
    card = tmp_path / "out/README.md"
    card.write_text(card.read_text().replace("license: mit", "license: cc-by-4"))
    assert any("takes no license 'cc-by-4'" in fault for fault in check_folder(tmp_path / "out"))
    assert {"mit", "other", "unknown", "cc-by-4.0"} <= LICENSES
