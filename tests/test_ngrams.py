"""Decontamination: what of a benchmark stands in a text, however written or wrapped, and what does not."""

import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.similar.ngrams import BenchmarkIndex, Overlap, OverlapSpec
from multifaceted.similar.words import split_words

LONG = (
    "A farmer has seventeen sheep and all but nine of them run away during a storm at night; "
    "how many sheep does the farmer have left in the morning, and where might the others be?"
)
SHORT = "What breed dog is the smallest?"
TINY = "Write a story"
BENCHMARK = [
    LONG,
    SHORT,
    TINY,
    "what BREED, dog is the smallest",
    "Describe how photosynthesis works in desert plants",
]
WORDS_ONLY = OverlapSpec(near=None)
FEW_WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)


def match(text: str, spec: OverlapSpec = WORDS_ONLY, benchmark: list[str] | None = None) -> Overlap | None:
    found = BenchmarkIndex(benchmark or BENCHMARK, spec).match([text])
    return found[0] if found else None


@pytest.mark.parametrize(
    "join", ["\nInput: ", " Input: ", "\n\n### Input:\n", "\n**Text:** ", "\n输入:", "\n入力:"]
)
def test_labels_between_the_parts_of_a_prompt_do_not_count(join: str) -> None:
    benchmark = ["Translate it.\n\nThe barn door was open"]
    found = match(f"Translate it.{join}The barn door was open", benchmark=benchmark)
    assert found is not None
    assert found.kind == "exact"
    assert match("Input: Rhyme it. The gate was shut", benchmark=benchmark) is None


def test_numbers_glued_to_words_are_the_same_words() -> None:
    assert match("Run 5km in 20min", benchmark=["run 5 km in 20 min"])
    assert not match("Run 51 km in 20 min", benchmark=["run 5 km in 120 min"])


@pytest.mark.parametrize(
    ("text", "kind", "other"),
    [
        (LONG.upper(), "exact", 0),
        (f"  {SHORT.replace(' ', '   ').replace('?', ' !?')}\n", "exact", 1),
        ("Ｗｈａｔ ｂｒｅｅｄ ｄｏｇ is the smallest", "exact", 1),
        ("WRITE a STORY.", "exact", 2),
        (f"Quick question for you: {SHORT} Answer in one word.", "contains", 1),
        (f"I was told this riddle. {LONG} I cannot solve it.", "ngram", 0),
        ("Tell me: all but nine of them run away during a storm at night, how many is that?", "ngram", 0),
        ("how photosynthesis works in desert plants", "inside", 4),
        ("seventeen sheep and all but nine", "inside", 0),
    ],
)
def test_a_benchmark_prompt_is_found_however_it_is_written(text: str, kind: str, other: int) -> None:
    found = match(text)
    assert found is not None
    assert (found.kind, found.other) == (kind, other)
    assert found.run in " ".join(split_words(text))
    assert found.run in " ".join(split_words(BENCHMARK[other]))


@pytest.mark.parametrize(
    "text",
    [
        "What breed of dog is the smallest?",  # another word inside
        "Write a story about two brothers.",  # holds a benchmark prompt of three words
        "A farmer has seventeen sheep and all but nine of them died.",  # twelve words in common
        "the smallest what breed dog is",
        "",
        "?!",
    ],
)
def test_what_only_looks_like_a_benchmark_prompt_is_kept(text: str) -> None:
    assert match(text) is None


def test_the_length_of_the_ngram_decides() -> None:
    text = "A farmer has seventeen sheep and all but nine of them died."  # ten in a row
    assert match(text, OverlapSpec(ngram=10, near=None)) is not None
    assert match(text, OverlapSpec(ngram=12, near=None)) is None


def test_runs_of_few_different_words_do_not_count() -> None:
    table = "score 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"
    assert match(f"First table: {table}", benchmark=[f"Second one: {table}"]) is None
    loose = OverlapSpec(distinct_words=1, near=None)
    assert match(f"First table: {table}", loose, [f"Second one: {table}"]) is not None


def test_near_duplicates_of_a_benchmark_prompt_are_found() -> None:
    words = LONG.split()
    changed = " ".join(word if place % 12 else f"{word}x" for place, word in enumerate(words, start=1))
    spec = OverlapSpec().model_copy(update={"near": OverlapSpec().near.model_copy(update={"threshold": 0.5})})  # type: ignore[union-attr]
    assert match(changed) is None
    found = match(changed, spec)
    assert found is not None
    assert (found.kind, found.other, found.run) == ("near", 0, "")
    assert 0.5 <= found.score < 1


def test_of_several_benchmark_prompts_the_one_that_shares_most_is_named() -> None:
    longer = f"{LONG} Explain in three sentences what made you think so, and what a child would say."
    found = match(f"Now then: {longer}", benchmark=[LONG, longer])
    assert found is not None
    assert (found.other, found.score) == (1, 1.0)


def test_equal_benchmark_prompts_are_one_and_say_where_they_stand() -> None:
    index = BenchmarkIndex(BENCHMARK, WORDS_ONLY)
    assert index.first_equals.tolist() == [0, 1, 2, 1, 4]


def test_rows_keep_their_numbers_over_many_batches() -> None:
    generator = random.Random(7)
    texts = [" ".join(generator.choices("abcdefghijklmnopqrstuvwxyz", k=300)) for _ in range(700)]
    planted = {13: LONG, 350: SHORT, 699: f"{texts[0]} {LONG}"}
    for row, text in planted.items():
        texts[row] = text
    found = BenchmarkIndex(BENCHMARK, OverlapSpec()).match(texts)
    assert [(overlap.row, overlap.kind) for overlap in found] == [
        (13, "exact"),
        (350, "exact"),
        (699, "ngram"),
    ]


@settings(deadline=None, max_examples=200)
@given(text=FEW_WORDS, benchmark=st.lists(FEW_WORDS, min_size=1, max_size=4))
def test_overlaps_are_those_of_brute_force(text: list[str], benchmark: list[list[str]]) -> None:
    spec = OverlapSpec(ngram=5, least_words=2, distinct_words=1, near=None)
    found = match(" ".join(text), spec, [" ".join(words) for words in benchmark])
    kinds = {other: _kind_of(text, words, spec) for other, words in enumerate(benchmark)}
    expected = [kind for kind in ("exact", "contains", "inside", "ngram") if kind in kinds.values()]
    assert (found.kind if found else None) == (expected[0] if expected else None)
    if found:
        assert kinds[found.other] == found.kind


def _kind_of(text: list[str], words: list[str], spec: OverlapSpec) -> str | None:
    if text and text == words:
        return "exact"
    if spec.least_words <= len(words) < spec.ngram and _stands_in(words, text):
        return "contains"
    if spec.least_words <= len(text) < spec.ngram and _stands_in(text, words):
        return "inside"
    runs = (text[start : start + spec.ngram] for start in range(len(text) - spec.ngram + 1))
    return "ngram" if any(_stands_in(run, words) for run in runs) else None


def _stands_in(run: list[str], words: list[str]) -> bool:
    return bool(re.search(rf"\b{' '.join(run)}\b", " ".join(words)))


def test_no_benchmark_matches_nothing() -> None:
    index: Any = BenchmarkIndex([], OverlapSpec())
    assert index.match([SHORT, LONG]) == []
    assert BenchmarkIndex(["", "..."], OverlapSpec()).match([SHORT, "", "!"]) == []
