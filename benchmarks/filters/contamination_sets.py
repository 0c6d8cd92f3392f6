# ruff: noqa: RUF001
"""Benchmark prompts as training pools hold them, and a pool that holds none: what decontamination finds."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache

from answers import join_parts, read_alpaca, read_answers
from cases import Case, CaseSet, draw
from repositories import read

from multifaceted.similar.ngrams import BenchmarkIndex, OverlapSpec

# How public pools and templates put instruction and input together; each is taken for some of the prompts.
_JOINS = (
    "\n\n{}",
    "\nInput: {}",
    "\n\n### Input:\n{}",
    "\n输入：{}",
    "\nText: {}",
    " Input: {}",
    "\n\n**Input:** {}",
)
# Alpaca's, Vicuna's, Llama-2's, a Chinese and a French one.
_ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the"
    " request.\n\n### Instruction:\n{}\n\n### Response:"
)
_WRAPPERS = (
    _ALPACA,
    "USER: {} ASSISTANT:",
    "[INST] {} [/INST]",
    "请用中文回答下面的问题：\n{}\n谢谢！",
    "Réponds à la demande suivante : {}",
)
_NGRAM = 13  # words, GPT-3's (Brown et al. 2020, appendix C)


@cache
def read_benchmark() -> list[str]:
    """Read the 805 prompts of AlpacaEval; 252 of them are Self-Instruct's, joined there by a blank line."""
    return [row["instruction"] for row in read_answers("gpt4_0613")]


def make_joined() -> Iterator[Case]:
    """Self-Instruct's own file with its two parts joined in other ways, and another pool."""
    lines = read("yizhongw/self-instruct", "human_eval/user_oriented_instructions.jsonl").splitlines()
    for row in map(json.loads, lines):
        given = row["instances"][0]["input"]
        if given:
            join = _JOINS[draw(given, len(_JOINS))]
            yield Case("", True, row["instruction"] + join.format(given), group=repr(join), key=given)
    yield from _make_clean()


def make_wrapped() -> Iterator[Case]:
    """AlpacaEval's prompts in templates, in other case, with numbers glued to words or torn off."""
    for prompt in read_benchmark():
        wrapper = _WRAPPERS[draw(prompt, len(_WRAPPERS))]
        forms = {
            "wrapped": wrapper.format(prompt),
            "upper case": prompt.upper(),
            "title case": prompt.title(),
            "glued": re.sub(r"(\d) (?=[A-Za-z])", r"\1", prompt),
            "torn": re.sub(r"(?<=\d)(?=[A-Za-z])", " ", prompt),
        }
        for group, text in forms.items():
            if text != prompt:
                yield Case("", True, text, group=group, key=prompt)
    yield from _make_clean()


def _make_clean() -> Iterator[Case]:
    for row in read_alpaca("en"):
        prompt = join_parts(row)
        yield Case("", False, prompt, group="alpaca_en", key=prompt)


def find_overlaps(cases: Sequence[Case]) -> list[bool]:
    """Tell of each case whether `instructions prepare` would keep it out."""
    found = {match.row for match in _index().match([case.prompt for case in cases])}
    return [row in found for row in range(len(cases))]


@cache
def _index() -> BenchmarkIndex:
    return BenchmarkIndex(read_benchmark(), OverlapSpec())


@cache
def _grams() -> frozenset[str]:
    return frozenset(gram for text in read_benchmark() for gram in _list_grams(text))


def _list_grams(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[at : at + _NGRAM]) for at in range(max(1, len(words) - _NGRAM + 1))]


def shares_gram(case: Case) -> bool:
    """Return whether 13 words, or a shorter text as a whole, stand in the benchmark too."""
    return not _grams().isdisjoint(_list_grams(case.prompt))


SETS = (
    CaseSet("joined parts", ("contaminated",), "constructed", make_joined, shares_gram, find_overlaps),
    CaseSet("wrapped prompts", ("contaminated",), "constructed", make_wrapped, shares_gram, find_overlaps),
)
