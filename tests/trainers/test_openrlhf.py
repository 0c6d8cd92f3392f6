"""OpenRLHF accepts what is exported for it: its own parser of flags, its own loading of the rows.

No training here: it needs a GPU. The exported script runs with a program in `deepspeed`'s place that notes
its arguments. OpenRLHF's parser stands in the main block of a module that imports GPU libraries: the test
takes the parser out of it.
"""

import argparse
import ast
import importlib
import json
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("openrlhf", reason="OpenRLHF is not installed here: `make test-trainers` runs these")
transformers = pytest.importorskip("transformers", reason="`make test-trainers` runs these")

from tiny import Row, export, make_model, make_run, read_rows  # noqa: E402

from multifaceted.exporting.tasks import Task  # noqa: E402
from multifaceted.exporting.trainers import read_views  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # the trainers' own
LAUNCHER = """#!/usr/bin/env python3
import json, sys
print(json.dumps(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("openrlhf")
    run = make_run(place / "made")
    for task in read_views("openrlhf"):
        export(run, place / task, "openrlhf", task)
    make_model(
        place, [turn["content"] for row in read_rows(place / "sft") for turn in row["input"] + row["output"]]
    )
    (place / "bin").mkdir()
    (place / "bin/deepspeed").write_text(LAUNCHER)
    (place / "bin/deepspeed").chmod(0o755)
    return place


def parse(folder: Path, task: Task) -> Any:
    """The arguments that the exported script starts OpenRLHF with, as OpenRLHF reads them."""
    ended = subprocess.run(
        ["bash", "train.sh", "--model.model_name_or_path", str(folder / "model")],
        cwd=folder / task,
        env={**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    flag, module, *words = json.loads(ended.stdout)
    assert flag == "--module"
    flat = read_parser(module).parse_args(words)
    return importlib.import_module("openrlhf.utils.config").hierarchize(flat)


def read_parser(module: str) -> argparse.ArgumentParser:
    package = importlib.import_module("openrlhf.cli").__file__
    source = Path(str(package)).with_name(f"{module.rpartition('.')[2]}.py")
    tree = ast.parse(source.read_text())
    main = next(node for node in tree.body if isinstance(node, ast.If))
    steps = [step for step in main.body if "parser" in ast.dump(step) and "parse_args" not in ast.dump(step)]
    names: dict[str, Any] = {"argparse": argparse}
    names["datetime"] = importlib.import_module("datetime").datetime
    exec(compile(ast.Module(steps, []), str(source), "exec"), names)
    parser = names["parser"]
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def load(
    folder: Path, task: Task, monkeypatch: pytest.MonkeyPatch, *, split: str = "train"
) -> tuple[Any, Any]:
    """The rows as OpenRLHF's trainer of the task gets them, and the tokenizer."""
    monkeypatch.chdir(folder / task)
    args = parse(folder, task)
    assert args.model.model_name_or_path == str(folder / "model")
    strategy = SimpleNamespace(args=args, print=print, is_rank_0=lambda: True)
    loading = importlib.import_module("openrlhf.datasets.utils")
    path, part = (
        (args.data.dataset, args.data.dataset_split)
        if split == "train"
        else (args.eval.dataset, args.eval.split)
    )
    rows = loading.blending_datasets(path, None, strategy, dataset_split=part)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model")
    kinds = importlib.import_module("openrlhf.datasets")
    if task == "sft":
        return kinds.SFTDataset(rows, tokenizer, args.data.max_len, strategy, num_processors=1), tokenizer
    # DPO and reward training start from a model that the SFT gave its chat template.
    tokenizer.chat_template = (folder / "sft/chat_template.jinja").read_text()
    dataset = kinds.RewardDataset(
        rows, tokenizer, args.data.max_len, strategy, is_dpo=task == "dpo", num_processors=1
    )
    return dataset, tokenizer


def render(row: Row, side: str) -> str:
    """What the paper's prompt form makes of a row."""
    system, user = (turn["content"] for turn in row["input"])
    return f"<s>[INST] {system}\n{user} [/INST]{row[side][0]['content']}</s>"


def test_sft_sees_the_system_message_and_learns_the_response_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, tokenizer = load(folder, "sft", monkeypatch)
    rows = read_rows(folder / "sft")
    assert len(dataset) == len(rows)
    for row, (ids, _, mask) in zip(rows, dataset, strict=False):
        assert tokenizer.decode(ids[0]) == render(row, "output")
        # The mask marks the token before each one that is learned.
        learned = ids[0][1:][mask[0][:-1].bool()]
        assert tokenizer.decode(learned) == row["output"][0]["content"] + "</s>"


@pytest.mark.parametrize(("task", "split"), [("dpo", "train"), ("rm", "train"), ("rm", "test")])
def test_pairs_hold_the_system_message_before_both_responses(
    folder: Path, monkeypatch: pytest.MonkeyPatch, task: Task, split: str
) -> None:
    dataset, tokenizer = load(folder, task, monkeypatch, split=split)
    rows = read_rows(folder / task, split)
    assert len(dataset) == len(rows)
    for row, (chosen, _, rejected, _, extra) in zip(rows, dataset, strict=False):
        assert tokenizer.decode(chosen[0]) == render(row, "chosen")
        assert tokenizer.decode(rejected[0]) == render(row, "rejected")
        if task == "dpo":
            assert tokenizer.decode(chosen[0][extra:]) == row["chosen"][0]["content"] + "</s>"
