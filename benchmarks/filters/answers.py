"""Answers of models that several sets are made of."""

import json
from collections.abc import Iterator
from functools import cache

from cases import Case, read_labels
from repositories import read

# Models whose answers were not capped in that run, and end as their writers ended them.
STRONG = (
    *("gpt4_1106_preview", "gpt-4o-2024-05-13", "claude-3-opus-20240229", "gpt4_0613"),
    *("gpt-4-turbo-2024-04-09", "claude-3-5-sonnet-20240620", "Yi-34B-Chat", "mistral-large-2402"),
)


@cache
def read_answers(model: str) -> list[dict[str, str]]:
    """Read the 805 answers of a model in AlpacaEval."""
    rows: list[dict[str, str]] = json.loads(
        read("tatsu-lab/alpaca_eval", f"results/{model}/model_outputs.json")
    )
    return rows


def read_alpaca(language: str) -> list[dict[str, str]]:
    """Read a thousand rows of instruction, input and output."""
    rows: list[dict[str, str]] = json.loads(
        read("hiyouga/LLaMA-Factory", f"data/alpaca_{language}_demo.json")
    )
    return rows


def join_parts(row: dict[str, str]) -> str:
    """Return instruction and input of a row as one prompt."""
    return "\n".join(filter(None, [row["instruction"], row["input"]]))


def make_strong() -> Iterator[Case]:
    """Make a case of each answer of a strong model: nothing is wrong with it."""
    for model in STRONG:
        for row in read_answers(model):
            yield Case(row["output"], faulty=False, prompt=row["instruction"], group=model)


def make_labelled(name: str) -> Iterator[Case]:
    """Make a case of each answer that a file in `labels/` names."""
    for row in read_labels(name):
        answer = read_answers(row["model"])[int(row["index"])]
        yield Case(answer["output"], row["label"] == "1", answer["instruction"], half=row.get("half", ""))
