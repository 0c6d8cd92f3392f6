"""How much texts differ: ROUGE-L between the responses of an instruction, distinct n-grams, unique texts.

ROUGE-L is the F-measure of the longest common subsequence of words (Lin 2004, "ROUGE: A Package for Automatic
Evaluation of Summaries"); Lee et al. 2024 report it between the responses to one instruction and between
preference descriptions of one dimension. distinct-n is the share of n-grams that are different from each
other (Li et al. 2016, "A Diversity-Promoting Objective Function"). Words are runs of letters and digits, in
lower case.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from multifaceted.ids import rank_digest

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of `n` measurements, and how they fall into ten equal parts of 0..1."""

    n: int
    mean: float | None  # None where nothing was measured
    sd: float | None
    histogram: list[int]


def split_words(text: str) -> list[str]:
    """The words of a text."""
    return _WORD.findall(text.lower())


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


def distinct_n(texts: Iterable[str], n: int) -> float | None:
    """Different n-grams of words as a share of all, 0..1; it falls with the number of texts."""
    seen: set[int] = set()
    total = 0
    for text in texts:
        words = split_words(text)
        grams = zip(*(words[start:] for start in range(n)), strict=False)
        hashes = [hash(gram) for gram in grams]
        total += len(hashes)
        seen.update(hashes)
    return len(seen) / total if total else None


def choose_ids(ids: Iterable[str], count: int, seed: int) -> frozenset[str]:
    """At most `count` of some ids; the same ones wherever they stand and however often this is called."""
    digest = rank_digest(f"report {seed}")
    return frozenset(sorted(set(ids), key=digest)[:count])
