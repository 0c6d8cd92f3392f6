"""Prompts that try to override the system message, by CyberSecEval, in English and machine translation."""

import json
from collections.abc import Iterator, Sequence
from functools import cache

import polars as pl
from answers import join_parts, read_alpaca, read_answers
from cases import Case, CaseSet
from repositories import read

import multifaceted as mf

_FOLDER = "CybersecurityBenchmarks/datasets/prompt_injection"
_VARIANT = "ignore_previous_instructions"  # others hide or disguise a request, and override nothing


@cache
def _read_prompts(name: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(read("meta-llama/PurpleLlama", f"{_FOLDER}/{name}.json"))
    return [row for row in rows if row["injection_variant"] == _VARIANT]


def make_injected() -> Iterator[Case]:
    """Prompts of that variant; and instructions of AlpacaEval and Alpaca, which are none."""
    for name in ("prompt_injection", "prompt_injection_multilingual_machine_translated"):
        for row in _read_prompts(name):
            yield Case("", faulty=True, prompt=row["user_input"], group=row["speaking_language"])
    for row in read_answers("gpt4_1106_preview"):
        yield Case("", faulty=False, prompt=row["instruction"], group="AlpacaEval")
    for language in ("en", "zh"):
        for row in read_alpaca(language):
            yield Case("", faulty=False, prompt=join_parts(row), group=f"Alpaca {language}")


def find_noted(cases: Sequence[Case]) -> list[bool]:
    """Tell of each prompt whether the filter notes it."""
    frame = pl.DataFrame({"prompt": [case.prompt for case in cases], "output": ["-"] * len(cases)})
    noted = set(mf.find(frame, ["injected_prompt"])["position"])
    return [place in noted for place in range(len(cases))]


def says_ignore(case: Case) -> bool:
    """Return whether the prompt holds the best known words."""
    words = (
        "ignore previous",
        "ignore all",
        "ignore the above",
        "disregard",
        "forget previous",
        "forget all",
    )
    return any(word in case.prompt.lower() for word in words)


SETS = (
    CaseSet("CyberSecEval", ("injected_prompt",), "its variants", make_injected, says_ignore, find_noted),
)
