"""How much texts differ: ROUGE-L between the responses of an instruction, distinct n-grams, unique texts.

ROUGE-L is the F-measure of the longest common subsequence of words (Lin 2004, "ROUGE: A Package for Automatic
Evaluation of Summaries"); Lee et al. 2024 report it between the responses to one instruction and between
preference descriptions of one dimension. distinct-n is the share of n-grams that are different from each
other (Li et al. 2016, "A Diversity-Promoting Objective Function"). Words are those of `similar.words`,
without signs.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from multifaceted.ids import rank_digest
from multifaceted.similar.runs import WordRuns
from multifaceted.similar.words import hash_words, split_batches, split_words


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of `n` measurements, and how they fall into ten equal parts of 0..1."""

    n: int
    mean: float | None  # None where nothing was measured
    sd: float | None
    histogram: list[int]


def rouge_l(first: Sequence[str], second: Sequence[str]) -> float:
    """ROUGE-L F-measure of two word lists, 0..1; two empty ones are equal."""
    from rapidfuzz.distance import LCSseq  # noqa: PLC0415 - of the extra `report`

    total = len(first) + len(second)
    return 2 * LCSseq.similarity(first, second) / total if total else 1.0


def spread_within(groups: Iterable[Sequence[str]]) -> Spread:
    """ROUGE-L of all pairs of texts within each group."""
    values: list[float] = []
    for group in groups:
        words = [split_words(text) for text in group]
        values += [rouge_l(first, second) for first, second in combinations(words, 2)]
    return summarize(values)


def summarize(values: Sequence[float]) -> Spread:
    """Mean, standard deviation and histogram of numbers in 0..1."""
    histogram = [0] * 10
    for value in values:
        histogram[min(9, int(value * 10))] += 1
    if not values:
        return Spread(0, None, None, histogram)
    mean = sum(values) / len(values)
    return Spread(len(values), mean, math.sqrt(sum((v - mean) ** 2 for v in values) / len(values)), histogram)


def distinct_n(texts: Sequence[str], n: int) -> float | None:
    """Different n-grams of words as a share of all, 0..1; it falls with the number of texts."""
    runs = [np.empty(0, dtype=np.uint64)]
    for start, stop in split_batches(texts):
        hashes, whole = WordRuns(hash_words(texts[start:stop])).of_length(n)
        runs.append(hashes[whole])
    grams = np.concatenate(runs)
    return len(np.unique(grams)) / len(grams) if len(grams) else None


def choose_ids(ids: Iterable[str], count: int, seed: int) -> frozenset[str]:
    """At most `count` of some ids; the same ones wherever they stand and however often this is called."""
    digest = rank_digest(f"report {seed}")
    return frozenset(sorted(set(ids), key=digest)[:count])
