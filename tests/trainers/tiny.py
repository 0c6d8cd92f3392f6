"""What the trainers' tests share: a small run, a tiny model with its own tokenizer, a command that trains."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml
from conftest import write_instructions

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.write import write_view
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer

INSTRUCTIONS = 24  # enough pairs for a test split
BIN = Path(sys.executable).parent
Row = dict[str, Any]


def make_run(folder: Path) -> Path:
    """A finished run: 24 instructions in two variants, answered by the loopback server."""
    folder.mkdir()
    write_instructions(folder / "instructions.jsonl", INSTRUCTIONS)
    with ChatServer() as server:
        recipe = {
            "instructions": {"path": "instructions.jsonl"},
            "variants": 2,
            "model": {"base_url": server.base_url, "name": "some-model"},
        }
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
        plan = compile_plan(folder / "recipe.yaml")
        asyncio.run(pipeline.generate(plan, folder / "run", control=RunControl()))
    return folder / "run"


def export(run: Path, out: Path, trainer: str, task: Task) -> Path:
    """The view of a task, and its folder."""
    write_view(run, out, trainer=trainer, task=task)
    return out


def read_rows(folder: Path, split: str = "train") -> list[Row]:
    """The exported rows."""
    return list(pq.read_table(folder / "data" / f"{split}.parquet").to_pylist())


def make_model(folder: Path, texts: list[str]) -> Path:
    """A Llama of two layers with random weights, and a byte-level tokenizer without a chat template."""
    import tokenizers
    import torch
    import transformers

    bpe = tokenizers.ByteLevelBPETokenizer()
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    bpe.train_from_iterator(texts, vocab_size=800, special_tokens=list(special.values()), show_progress=False)
    bpe.save(str(folder / "bpe.json"))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "bpe.json"), **special)
    torch.manual_seed(0)
    shape = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    transformers.LlamaForCausalLM(shape).save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def train(folder: Path, command: str, *, steps: int, **changes: object) -> list[float]:
    """Run an exported folder's command on the processor; keywords override its configuration.

    Returns:
        the loss of each step, as the trainer logged it.
    """
    program, *words = command.split()
    fitted = {
        "max_steps": steps,
        "warmup_steps": 0,
        "lr_scheduler_type": "constant",
        "gradient_accumulation_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "dtype": "float32",
        "attn_implementation": "sdpa",
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": steps,
        **changes,
    }
    overrides = [word for name, value in fitted.items() for word in (f"--{name}", str(value))]
    environment = {**os.environ, "HF_HOME": str(folder.parent / "hf"), "TRL_EXPERIMENTAL_SILENCE": "1"}
    ended = subprocess.run(
        [BIN / program, *words, *overrides],
        cwd=folder,
        env={**environment, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-6000:]}"
    state = json.loads((folder / f"model/checkpoint-{steps}/trainer_state.json").read_text(encoding="utf-8"))
    return [float(entry["loss"]) for entry in state["log_history"] if "loss" in entry]
