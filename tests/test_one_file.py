"""What is added by one file: a published config, and a trainer with its template."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe

import multifaceted as mf
from multifaceted.building import configs
from multifaceted.building.configs import CONFIGS
from multifaceted.exporting import trainers
from multifaceted.testing import ChatServer

CONFIG = """
from pydantic import BaseModel, Field

from multifaceted.building.columns import Prompt, RowId
from multifaceted.building.config import PublishedConfig, RowCheck, pick_all


class QuestionRow(BaseModel):
    id: RowId
    prompt: Prompt
    answer: str = Field(description="what it is answered with")


def note(batch):
    return ((row, None) for row in batch.column("id").to_pylist() if row == "i0-v1")


QUESTIONS = PublishedConfig(
    "questions",
    kind="collection",
    order=35,
    summary="nothing but question and answer",
    model=QuestionRow,
    make=pick_all,
    renamed={"answer": "output"},
    check=RowCheck(note, lambda name, seen: (f"{row} is odd" for row in list(seen[name].notes)[1:])),
    tag="question-answering",
    variable="questions",
)
"""
TRAINER = """
from pydantic import BaseModel

from multifaceted.exporting.view import View


class TextRow(BaseModel):
    text: str


TITLE = "Mine"
VIEWS = {"sft": View(TextRow, lambda row: TextRow(text=row["output"]), {"m.sh": "mine.sh.j2"}, "sh m.sh")}
"""


@pytest.fixture
def run(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> mf.Run:
    return mf.generate(make_recipe(server.base_url, count=2), tmp_path / "run", progress=False)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules count as those of both packages."""
    folder = tmp_path / "modules"
    folder.mkdir()
    for part in (configs, trainers):
        monkeypatch.setattr(part, "__path__", [*part.__path__, str(folder)])
    yield folder
    configs._widen_configs.cache_clear()
    trainers.read_views.cache_clear()


def test_a_config_is_one_file(run: mf.Run, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package / "questions.py").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setitem(CONFIGS, "collection", configs._list_configs("collection"))
    configs._widen_configs.cache_clear()
    assert [*CONFIGS["collection"]][2:5] == ["dpo", "questions", "orpo"]
    built = mf.build(run, package / "built", file_format="parquet")
    assert built.rows["questions"] == 6
    assert mf.check(built).ok
    rows = built.load("questions", split="train")
    assert rows.column_names == ["id", "prompt", "answer"]
    card = (built.path / "README.md").read_text(encoding="utf-8")
    for said in ("question-answering", "nothing but question and answer", 'questions = load_dataset("'):
        assert said in card
    assert "what it is answered with" in card
    assert '"questions/answer"' in (built.path / "croissant.json").read_text(encoding="utf-8")


def test_a_trainer_is_one_file_and_a_template(
    run: mf.Run, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "mine.py").write_text(TRAINER, encoding="utf-8")
    assert trainers.list_trainers() == ["axolotl", "mine", "openrlhf", "trl"]
    shipped = resources.files("multifaceted") / "templates" / "views"
    views = package / "templates" / "views"
    views.mkdir(parents=True)
    (views / "mine.sh.j2").write_text("echo {{ settings.epochs }} {{ trainer_name }}", encoding="utf-8")
    (views / "readme.md.j2").write_text((shipped / "readme.md.j2").read_text("utf-8"), encoding="utf-8")
    monkeypatch.setattr(resources, "files", lambda name: package)
    made: Any = mf.export(run, package / "out", trainer="mine", task="sft")
    assert made.written.rows == {"train": 6}
    assert (package / "out/m.sh").read_text(encoding="utf-8") == "echo 4 Mine"
    assert "for Mine" in (package / "out/README.md").read_text(encoding="utf-8")
