"""axolotl accepts what is exported for it: its own checks of the configuration, its own loading of the rows.

No training here: axolotl without its GPU libraries loads data, and trains through TRL.
"""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("axolotl", reason="axolotl is not installed here: `make test-trainers` runs these")
transformers = pytest.importorskip("transformers", reason="`make test-trainers` runs these")

from tiny import Row, export, make_model, make_run, read_rows  # noqa: E402

from multifaceted.exporting.tasks import TASKS, Task  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # the trainers' own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Views of all tasks side by side, and a stand-in for the model that an SFT would leave."""
    place = tmp_path_factory.mktemp("axolotl")
    run = make_run(place / "made")
    for task in TASKS:
        export(run, place / task, "axolotl", task)
    model = make_model(
        place, [turn["content"] for row in read_rows(place / "sft") for turn in row["messages"]]
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = (place / "sft/chat_template.jinja").read_text()
    model_of_sft = place / "sft/model"
    transformers.AutoModelForCausalLM.from_pretrained(model).save_pretrained(model_of_sft)
    tokenizer.save_pretrained(model_of_sft)
    return place


@pytest.fixture(autouse=True)
def _no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AXOLOTL_DO_NOT_TRACK", "1")


def load(folder: Path, task: Task, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any, Any]:
    """Train and test rows as axolotl prepares them for training, and its tokenizer."""
    monkeypatch.chdir(folder / task)
    config = importlib.import_module("axolotl.utils.config")
    as_dict = importlib.import_module("axolotl.utils.dict").DictDefault
    raw = yaml.safe_load(Path("train.yaml").read_text())
    if task in ("sft", "orpo"):
        raw["base_model"] = str(folder / "model")  # in place of the paper's, which would be downloaded
    # What this machine lacks: a GPU, and steps enough for an epoch of packed rows.
    raw |= {"bf16": False, "attn_implementation": "sdpa", "dataset_num_proc": 1, "max_steps": 1}
    checked = config.validate_config(as_dict(raw))
    config.normalize_config(checked)
    config.normalize_cfg_datasets(checked)
    tokenizer = importlib.import_module("axolotl.loaders").load_tokenizer(checked)
    if task in ("dpo", "orpo"):
        prepare = importlib.import_module("axolotl.utils.data.rl").prepare_preference_datasets
    else:
        prepare = importlib.import_module("axolotl.utils.data.sft").prepare_datasets
    rows, kept, *_ = prepare(checked, tokenizer)
    return rows, kept, tokenizer


def render(system: str, prompt: str, response: str) -> str:
    """What the paper's prompt form makes of a row."""
    return f"<s>[INST] {system}\n{prompt} [/INST]{response}</s>"


def test_every_key_of_the_configurations_is_one_of_axolotls(folder: Path) -> None:
    schema = importlib.import_module("axolotl.utils.schemas.config").AxolotlInputConfig
    known = {name for field, info in schema.model_fields.items() for name in (field, info.alias)}
    for task in TASKS:
        raw = yaml.safe_load((folder / task / "train.yaml").read_text())
        assert set(raw) <= known


def test_sft_sees_the_system_message_and_learns_the_response_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _, tokenizer = load(folder, "sft", monkeypatch)
    expected = {
        render(*(turn["content"] for turn in row["messages"])): row for row in read_rows(folder / "sft")
    }
    assert len(rows) == len(expected)
    for row in rows:
        seen = tokenizer.decode(row["input_ids"])
        pairs = zip(row["input_ids"], row["labels"], strict=True)
        learned = tokenizer.decode([token for token, label in pairs if label != -100])
        assert learned == expected[seen]["messages"][-1]["content"] + "</s>"


@pytest.mark.parametrize("task", ["dpo", "orpo"])
def test_preference_rows_hold_the_system_message_in_the_prompt_and_a_response_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch, task: Task
) -> None:
    rows, _, _ = load(folder, task, monkeypatch)
    expected = {row["id"]: row for row in read_rows(folder / task)}
    assert {row["id"] for row in rows} == set(expected)
    for row in rows:
        for side in ("chosen", "rejected"):
            assert row["prompt"] + row[side] == render(*texts_of(expected[row["id"]], side))


def texts_of(row: Row, side: str) -> tuple[str, str, str]:
    """System message, instruction and one response of an exported pair."""
    if "messages" in row:
        system, user = (turn["content"] for turn in row["messages"])
        return system, user, row[side]["content"]
    return row["system"], row["prompt"], row[side][-1]["content"]


def test_reward_rows_hold_whole_conversations_in_both_splits(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, kept, tokenizer = load(folder, "rm", monkeypatch)
    for found, split in ((rows, "train"), (kept, "test")):
        expected = {
            (render(*start, row["chosen"]), render(*start, row["rejected"]))
            for row in read_rows(folder / "rm", split)
            for start in [(row["system"], row["input"])]
        }
        decoded = [
            tuple(tokenizer.decode(row[f"{side}_ids"]) for side in ("chosen", "rejected")) for row in found
        ]
        assert len(decoded) == len(expected)
        assert set(decoded) == expected
