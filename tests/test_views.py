"""Trainer views: the shape of each, their configurations, what is refused. Training: `tests/trainers/`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import write_instructions
from fork_server import run_multifaceted

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.folder import build_folder
from multifaceted.errors import InputError, StorageError
from multifaceted.exporting.tasks import TASKS, Task
from multifaceted.exporting.trainers import find_view, list_trainers, read_views
from multifaceted.exporting.write import write_view
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer

ALL = [(trainer, task) for trainer in list_trainers() for task in read_views(trainer)]
INSTRUCTIONS = 24  # enough pairs for a test split
TURN = pa.struct([("content", pa.string()), ("role", pa.string())])
TURNS = pa.list_(TURN)
# As the trainers document their columns, after an id.
COLUMNS: dict[tuple[str, Task], dict[str, pa.DataType]] = {
    ("trl", "sft"): {"prompt": TURNS, "completion": TURNS},
    ("trl", "dpo"): {"prompt": TURNS, "chosen": TURNS, "rejected": TURNS},
    ("trl", "orpo"): {"prompt": TURNS, "chosen": TURNS, "rejected": TURNS},
    ("trl", "rm"): {"prompt": TURNS, "chosen": TURNS, "rejected": TURNS},
    ("axolotl", "sft"): {"messages": TURNS},
    ("axolotl", "dpo"): {"messages": TURNS, "chosen": TURN, "rejected": TURN},
    ("axolotl", "orpo"): {
        "system": pa.string(),
        "prompt": pa.string(),
        "chosen": TURNS,
        "rejected": TURNS,
    },
    ("axolotl", "rm"): dict.fromkeys(("system", "input", "chosen", "rejected"), pa.string()),
    ("openrlhf", "sft"): {"input": TURNS, "output": TURNS},
    ("openrlhf", "dpo"): {"input": TURNS, "chosen": TURNS, "rejected": TURNS},
    ("openrlhf", "rm"): {"input": TURNS, "chosen": TURNS, "rejected": TURNS},
}


def make_run(folder: Path, *, count: int = INSTRUCTIONS, variants: int = 2, kind: str = "collection") -> Path:
    write_instructions(folder / "instructions.jsonl", count)
    with ChatServer() as server:
        recipe = {
            "kind": kind,
            "instructions": {"path": "instructions.jsonl"},
            "variants": variants,
            "model": {"base_url": server.base_url, "name": "some-model"},
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        plan = compile_plan(folder / "recipe.yaml")
        asyncio.run(pipeline.generate(plan, folder / "run", control=RunControl()))
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def built(run: Path) -> Path:
    build_folder(run, run.parent / "built", file_format="parquet")
    return run.parent / "built"


@pytest.fixture(scope="module")
def published(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, Any]]]:
    """The published rows, by config and id."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield {
            config: {row["id"]: row for row in datasets.load_dataset(str(built), config, split="train")}
            for config in ("sft", "dpo", "orpo")
        }


def read(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    return list(pq.read_table(folder / "data" / f"{split}.parquet").to_pylist())


def texts_of(value: Any) -> list[str]:
    """All texts of a row, in order: turns give their content."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return (
            [value["content"]] if "role" in value else [t for part in value.values() for t in texts_of(part)]
        )
    return [text for part in value for text in texts_of(part)]


def roles_of(value: Any) -> list[str]:
    turns = [value] if isinstance(value, dict) else value
    return [turn["role"] for turn in turns]


def test_the_table_names_every_view_that_there_is() -> None:
    assert set(COLUMNS) == set(ALL)


@pytest.mark.parametrize(("trainer", "task"), ALL)
def test_columns_are_what_the_trainer_documents(run: Path, tmp_path: Path, trainer: str, task: Task) -> None:
    write_view(run, tmp_path / "out", trainer=trainer, task=task)
    for file in (tmp_path / "out/data").iterdir():
        schema = pq.read_schema(file)
        assert schema == pa.schema([("id", pa.string()), *COLUMNS[trainer, task].items()])


@pytest.mark.parametrize(("trainer", "task"), ALL)
def test_rows_hold_the_published_texts_in_their_places(
    run: Path, tmp_path: Path, published: dict[str, dict[str, Any]], trainer: str, task: Task
) -> None:
    written = write_view(run, tmp_path / "out", trainer=trainer, task=task)
    source = published["sft" if task == "sft" else "dpo"]
    rows = [row for split in written.rows for row in read(tmp_path / "out", split)]
    assert sorted(row["id"] for row in rows) == sorted(source)
    for row in rows:
        origin = source[row["id"]]
        start = [origin["system"], origin["prompt"]]
        replies = (
            [origin["output"]]
            if task == "sft"
            else [origin[side][-1]["content"] for side in ("chosen", "rejected")]
        )
        found = texts_of({name: value for name, value in row.items() if name != "id"})
        if (trainer, task) == ("axolotl", "orpo"):  # both of its conversations begin with the instruction
            assert found == [*start, origin["prompt"], replies[0], origin["prompt"], replies[1]]
        else:
            assert found == start + replies


@pytest.mark.parametrize(("trainer", "task"), ALL)
def test_turns_have_the_roles_that_chat_templates_know(
    run: Path, tmp_path: Path, trainer: str, task: Task
) -> None:
    write_view(run, tmp_path / "out", trainer=trainer, task=task)
    start = ["system", "user"]
    for row in read(tmp_path / "out"):
        for name, kind in COLUMNS[trainer, task].items():
            if kind == pa.string():
                continue
            expected = {"prompt": start, "input": start, "messages": start}.get(name, ["assistant"])
            if (trainer, task) == ("axolotl", "sft"):
                expected = [*start, "assistant"]
            if (trainer, task) == ("axolotl", "orpo"):
                expected = ["user", "assistant"]
            assert roles_of(row[name]) == expected


@pytest.mark.parametrize(("trainer", "task"), ALL)
def test_a_built_folder_gives_the_same_bytes_as_its_run(
    run: Path, built: Path, tmp_path: Path, trainer: str, task: Task
) -> None:
    for name, source in (("a", run), ("b", built)):
        write_view(source, tmp_path / name, trainer=trainer, task=task)
    hashes = [
        {file.relative_to(tmp_path / name): hash_file(file) for file in (tmp_path / name).rglob("*.*")}
        for name in ("a", "b")
    ]
    assert hashes[0] == hashes[1]


def test_reward_models_are_tested_on_the_pairs_of_the_published_test_split(
    run: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    written = write_view(run, tmp_path / "rm", trainer="trl", task="rm")
    assert written.rows == {"train": 23, "test": 1}
    for split in ("train", "test"):
        expected = datasets.load_dataset(str(built), "rm", split=split)["id"]
        assert [row["id"] for row in read(tmp_path / "rm", split)] == expected[:]


PAPER: dict[Task, dict[str, Any]] = {
    "sft": {
        "num_train_epochs": 4,
        "learning_rate": 5e-6,
        "max_length": 8192,
        "packing": True,
        "warmup_steps": 10,
    },
    "dpo": {"num_train_epochs": 2, "learning_rate": 5e-7},
    "orpo": {"num_train_epochs": 2, "learning_rate": 5e-6, "beta": 0.1},
    "rm": {"learning_rate": 9e-6, "gradient_accumulation_steps": 128},
}
AXOLOTL_NAMES = {
    "num_train_epochs": "num_epochs",
    "max_length": "sequence_len",
    "packing": "sample_packing",
    "beta": "orpo_alpha",
}


@pytest.mark.parametrize("task", TASKS)
def test_configurations_carry_the_papers_hyper_parameters(run: Path, tmp_path: Path, task: Task) -> None:
    trainers: tuple[str, ...] = ("trl", "axolotl")
    for trainer in trainers:
        write_view(run, tmp_path / trainer, trainer=trainer, task=task)
        text = (tmp_path / trainer / "train.yaml").read_text()
        found = yaml.safe_load(text)
        names = AXOLOTL_NAMES if trainer == "axolotl" else {}
        for name, value in PAPER[task].items():
            key = names.get(name, name)
            assert found[key] == value
            line = next(line for line in text.splitlines() if line.startswith(f"{key}:"))
            assert "# paper" in line
    paths = [found["datasets"][0]["path"], *(entry["path"] for entry in found.get("test_datasets", []))]
    assert [(tmp_path / "axolotl" / path).is_file() for path in paths] == [True] * (2 if task == "rm" else 1)


def test_openrlhfs_script_runs_and_hands_arguments_on(run: Path, tmp_path: Path) -> None:
    launcher = tmp_path / "bin/deepspeed"
    launcher.parent.mkdir()
    launcher.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    launcher.chmod(0o755)
    for task in read_views("openrlhf"):
        write_view(run, tmp_path / task, trainer="openrlhf", task=task)
        ended = subprocess.run(
            ["bash", tmp_path / task / "train.sh", "--train.seed", "3"],
            env={**os.environ, "PATH": f"{launcher.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=True,
        )
        words = json.loads(ended.stdout)
        assert words[:2] == ["--module", f"openrlhf.cli.train_{task}"]
        assert words[-2:] == ["--train.seed", "3"]
        assert float(words[words.index("--adam.lr") + 1]) == PAPER[task]["learning_rate"]
        assert (tmp_path / task / words[words.index("--data.dataset") + 1]).is_file()


def test_trls_orpo_script_is_python(run: Path, tmp_path: Path) -> None:
    write_view(run, tmp_path / "orpo", trainer="trl", task="orpo")
    compile((tmp_path / "orpo/train.py").read_text(), "train.py", "exec")


def test_the_chat_template_writes_the_papers_prompt_form(run: Path, tmp_path: Path) -> None:
    write_view(run, tmp_path / "sft", trainer="axolotl", task="sft")
    template = jinja2.Environment(autoescape=False).from_string(
        (tmp_path / "sft/chat_template.jinja").read_text()
    )
    system, user, reply = ({"role": r, "content": r[0]} for r in ("system", "user", "assistant"))

    def render(*turns: dict[str, str]) -> str:
        return template.render(messages=turns, bos_token="<s>", eos_token="</s>")

    assert render(system, user) == "<s>[INST] s\nu [/INST]"
    assert render(system, user, reply, user) == "<s>[INST] s\nu [/INST]a</s>[INST] u [/INST]"
    assert render(user, reply) == "<s>[INST] u [/INST]a</s>"


@pytest.mark.parametrize(("trainer", "task"), ALL)
def test_the_readme_says_how_to_start_and_names_what_is_there(
    run: Path, tmp_path: Path, trainer: str, task: Task
) -> None:
    written = write_view(run, tmp_path / "out", trainer=trainer, task=task)
    text = (tmp_path / "out/README.md").read_text()
    assert f"$ {find_view(trainer, task).command}\n" in text
    assert all(f"`{name}`" in text for name in written.files if name != "README.md")
    assert str(tmp_path) not in "".join(
        file.read_text() for file in (tmp_path / "out").iterdir() if file.is_file()
    )


def test_too_few_pairs_for_a_test_split_leave_it_out_of_the_configuration(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=5)
    for trainer in list_trainers():
        written = write_view(run, tmp_path / trainer, trainer=trainer, task="rm")
        assert written.rows == {"train": 5}
        texts = "".join(file.read_text() for file in (tmp_path / trainer).iterdir() if file.is_file())
        assert "test.parquet" not in texts
        assert "eval" not in texts


def test_a_run_without_pairs_is_refused_with_the_reason_and_leaves_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=3, variants=1)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StorageError, match=r"gives no pair.*too_few_variants: 3"):
        write_view(run, tmp_path / "dpo", trainer="trl", task="dpo")
    assert sorted(tmp_path.iterdir()) == before
    assert write_view(run, tmp_path / "sft", trainer="trl", task="sft").rows == {"train": 3}


def test_what_exists_is_never_touched(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="exists"):
        write_view(run, tmp_path / "mine", trainer="trl", task="sft")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_an_export_that_fails_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> dict[str, str]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multifaceted.exporting.write.render_files", fail)
    with pytest.raises(StorageError, match="No space left"):
        write_view(run, tmp_path / "out", trainer="trl", task="sft")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_not_whole_and_a_damaged_build_are_refused(
    run: Path, built: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StorageError, match="no finished run"):
        write_view(tmp_path / "empty", tmp_path / "out", trainer="trl", task="sft")
    for file in built.rglob("*"):
        if file.is_file():
            copy = tmp_path / "copy" / file.relative_to(built)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes() + (b"x" if file.match("dpo/train-*") else b""))
    with pytest.raises(StorageError, match="SHA-256"):
        write_view(tmp_path / "copy", tmp_path / "out", trainer="trl", task="dpo")


def test_a_bench_is_refused_because_models_are_judged_on_it(tmp_path: Path) -> None:
    run = make_run(tmp_path, count=2, variants=1, kind="bench")
    with pytest.raises(StorageError, match="is a bench: nothing is trained on it"):
        write_view(run, tmp_path / "out", trainer="trl", task="sft")
    assert not (tmp_path / "out").exists()


def test_a_task_that_a_trainer_does_not_have_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(InputError, match="openrlhf has no trainer for orpo") as caught:
        find_view("openrlhf", "orpo")
    assert caught.value.hint == "take another trainer: --for axolotl, --for trl"


def multifaceted(*words: str | Path) -> subprocess.CompletedProcess[str]:
    result = run_multifaceted("export", *words)
    assert "Traceback" not in result.stderr
    return result


def test_the_command_says_what_it_wrote_and_how_to_go_on(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = multifaceted(run, "--for", "trl", "--task", "rm", "--out", out, "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["rows"] == {"train": 23, "test": 1}
    assert found["command"] == "trl reward --config train.yaml"
    assert found["files"] == ["README.md", "data/test.parquet", "data/train.parquet", "train.yaml"]
    again = multifaceted(run, "--for", "trl", "--task", "rm", "--out", out)
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        ".multifaceted.json",
        "README.md",
        "data",
        "train.yaml",
    ]


@pytest.mark.parametrize(("trainer", "task"), [("nobody", "sft"), ("trl", "nothing"), ("openrlhf", "orpo")])
def test_unknown_trainers_and_tasks_end_with_2(run: Path, tmp_path: Path, trainer: str, task: str) -> None:
    refused = multifaceted(run, "--for", trainer, "--task", task, "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert not (tmp_path / "out").exists()
