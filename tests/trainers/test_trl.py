"""TRL trains on what is exported for it: its own commands, a tiny model, and what that model sees.

`make test-trainers` runs this. Losses are those of one batch that holds all rows, seen again and again.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest

trl = pytest.importorskip("trl", reason="TRL is not installed here: `make test-trainers` runs these")

import datasets  # noqa: E402
import transformers  # noqa: E402
from tiny import export, make_model, make_run, read_rows, train  # noqa: E402

from multifaceted.exporting.tasks import TASKS, Task  # noqa: E402
from multifaceted.exporting.trainers import find_view  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # the trainers' own
ALL_ROWS = 64  # more than there are: one batch holds them all


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of all tasks side by side, as the configurations expect, and a model to start from."""
    place = tmp_path_factory.mktemp("trl")
    run = make_run(place / "made")
    for task in TASKS:
        export(run, place / task, "trl", task)
    turns = [turn for row in read_rows(place / "sft") for turn in row["prompt"] + row["completion"]]
    make_model(place, [turn["content"] for turn in turns])
    return place


@pytest.fixture(scope="module")
def trained(folder: Path) -> list[float]:
    """Losses of the SFT; its model is what DPO and reward training start from."""
    start = {"model_name_or_path": folder / "model", "per_device_train_batch_size": ALL_ROWS}
    return train(folder / "sft", find_view("trl", "sft").command, steps=25, learning_rate=5e-3, **start)


def test_sft_learns_with_packing_and_writes_a_model_that_has_the_chat_template(
    folder: Path, trained: list[float]
) -> None:
    assert trained[-1] < 0.6 * trained[0]
    saved = transformers.AutoTokenizer.from_pretrained(folder / "sft/model")
    assert saved.chat_template == (folder / "sft/chat_template.jinja").read_text()


@pytest.mark.parametrize("task", ["dpo", "rm"])
def test_dpo_and_reward_training_go_on_from_the_sft_and_learn(
    folder: Path, trained: list[float], task: Task
) -> None:
    assert trained
    losses = train(
        folder / task,
        find_view("trl", task).command,
        steps=12,
        learning_rate=1e-3,
        per_device_train_batch_size=ALL_ROWS,
    )
    assert losses[0] == pytest.approx(0.693, abs=0.1)  # a pair told apart by nothing but chance
    assert losses[-1] < 0.6 * losses[0]


def test_orpo_learns(folder: Path) -> None:
    losses = train(
        folder / "orpo",
        find_view("trl", "orpo").command,
        steps=25,
        learning_rate=5e-3,
        model_name_or_path=folder / "model",
        per_device_train_batch_size=ALL_ROWS,
    )
    assert losses[-1] < 0.6 * losses[0]


def parse(folder: Path, task: Task, model: Path) -> tuple[Any, Any, Any]:
    """What TRL's parser makes of the exported configuration; an unknown key would be an error."""
    command = {"sft": "sft", "dpo": "dpo", "rm": "reward"}.get(task)
    if command:
        parser = importlib.import_module(f"trl.scripts.{command}").make_parser()
    else:
        orpo = importlib.import_module("trl.experimental.orpo")
        parser = trl.TrlParser((trl.ScriptArguments, orpo.ORPOConfig, trl.ModelConfig))
    words = ["--config", str(folder / task / "train.yaml"), "--use_cpu", "true", "--bf16", "false"]
    script, training, chosen, *_ = parser.parse_args_and_config(
        [*words, "--model_name_or_path", str(model), "--output_dir", str(folder / "seen")]
    )
    return script, training, chosen


def first_batch(folder: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The first batch as the model gets it, and the tokenizer that reads it."""
    monkeypatch.chdir(folder / task)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    script, training, chosen = parse(folder, task, folder / "sft/model")
    rows = datasets.load_dataset(script.dataset_name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(chosen.model_name_or_path)
    trainers = {"sft": "SFTTrainer", "dpo": "DPOTrainer", "rm": "RewardTrainer"}
    if task in trainers:
        trainer_class, model = getattr(trl, trainers[task]), chosen.model_name_or_path
    else:
        trainer_class = importlib.import_module("trl.experimental.orpo").ORPOTrainer
        model = transformers.AutoModelForCausalLM.from_pretrained(chosen.model_name_or_path)
    training.packing = False  # one row a line
    trainer = trainer_class(
        model=model,
        args=training,
        train_dataset=rows[script.dataset_train_split],
        eval_dataset=rows.get(script.dataset_test_split),
        processing_class=tokenizer,
    )
    return next(iter(trainer.get_train_dataloader())), tokenizer


def conversation(row: dict[str, Any], response: str) -> str:
    """What the paper's prompt form makes of a row."""
    system, user = (turn["content"] for turn in row["prompt"])
    return f"<s>[INST] {system}\n{user} [/INST]{row[response][0]['content']}</s>"


def test_sft_sees_the_system_message_and_takes_no_loss_on_it(
    folder: Path, trained: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained
    batch, tokenizer = first_batch(folder, "sft", monkeypatch)
    seen = tokenizer.decode(batch["input_ids"][0])
    rows = {conversation(row, "completion"): row for row in read_rows(folder / "sft")}
    assert seen in rows
    learned = batch["input_ids"][0][batch["labels"][0] != -100]
    assert tokenizer.decode(learned) == rows[seen]["completion"][0]["content"] + "</s>"


def test_dpo_sees_the_system_message_before_both_responses_and_scores_only_them(
    folder: Path, trained: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained
    batch, tokenizer = first_batch(folder, "dpo", monkeypatch)
    rows = {conversation(row, "chosen"): row for row in read_rows(folder / "dpo")}
    chosen, rejected = (
        tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    )
    row = rows[chosen]
    assert rejected == conversation(row, "rejected")
    scored = batch["input_ids"][0][batch["completion_mask"][0].bool()]
    assert tokenizer.decode(scored) == row["chosen"][0]["content"] + "</s>"


def test_reward_training_sees_the_system_message_before_both_responses(
    folder: Path, trained: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained
    batch, tokenizer = first_batch(folder, "rm", monkeypatch)
    rows = {conversation(row, "chosen"): row for row in read_rows(folder / "rm")}
    chosen, rejected = (
        tokenizer.decode(ids[mask.bool()])
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    )
    assert rejected == conversation(rows[chosen], "rejected")


def test_orpo_sees_the_system_message_and_takes_no_loss_on_it(
    folder: Path, trained: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained
    batch, tokenizer = first_batch(folder, "orpo", monkeypatch)
    rows = {conversation(row, "chosen"): row for row in read_rows(folder / "orpo")}
    chosen = tokenizer.decode(batch["chosen_input_ids"][0])
    learned = batch["chosen_input_ids"][0][batch["chosen_labels"][0] != -100]
    assert tokenizer.decode(learned) == rows[chosen]["chosen"][0]["content"] + "</s>"
    rejected = tokenizer.decode(batch["rejected_input_ids"][0])
    assert rejected == conversation(rows[chosen], "rejected")


def test_the_reward_configuration_evaluates_on_the_test_split(folder: Path) -> None:
    script, training, _ = parse(folder, "rm", folder / "model")
    assert training.eval_strategy == "epoch"
    kept = datasets.load_dataset(str(folder / "rm" / script.dataset_name), split=script.dataset_test_split)
    assert kept["id"] == [row["id"] for row in read_rows(folder / "rm", "test")]
