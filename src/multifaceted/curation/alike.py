"""Variants of one instruction that are too much alike: their responses, or their preference sets."""

import itertools
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from multifaceted.curation.base import VariantFilter
from multifaceted.similar.shingles import make_word_sets, measure_pairs
from multifaceted.similar.words import Places


class AlikeResponsesFilter(VariantFilter):
    """Near-identical responses to different system messages make useless pairs. The first is kept."""

    name: ClassVar[str] = "alike_responses"
    needs: ClassVar[frozenset[str]] = frozenset({"id", "instruction_id"})
    summary: ClassVar[str] = "the response is nearly that to another system message of the same instruction"
    threshold: float = Field(default=0.85, gt=0, le=1)  # Jaccard similarity of the words

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        return find_alike(rows, pl.col("output"), self.threshold)


class AlikePreferencesFilter(VariantFilter):
    """Preference sets that say the same give system messages that say the same. The first is kept."""

    name: ClassVar[str] = "alike_preferences"
    needs: ClassVar[frozenset[str]] = frozenset({"id", "instruction_id", "preference_set"})
    summary: ClassVar[str] = "the preference set is nearly that of another variant of the same instruction"
    threshold: float = Field(default=0.7, gt=0, le=1)  # Jaccard similarity of the words of all descriptions

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        entry = pl.element().struct
        text = pl.col("preference_set").list.eval(entry["preference"] + " " + entry["description"])
        return find_alike(rows, text.list.join(" "), self.threshold)


def find_alike(rows: pl.DataFrame, text: pl.Expr, threshold: float) -> pl.DataFrame:
    """Return rows whose text is like that of an earlier variant that stays.

    Args:
        rows: with `instruction_id` and `id`, those of an instruction one after the other.
        text: what to compare.
        threshold: the least Jaccard similarity of the sets of words.
    """
    pairs = list(_pair_variants(rows["instruction_id"]))
    firsts, seconds = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    jaccards = _compare(rows.select(text).to_series().to_list(), firsts, seconds, threshold)
    gone: dict[int, tuple[float, str]] = {}
    for pair in np.flatnonzero(jaccards >= threshold).tolist():
        one, other = pairs[pair]
        if one not in gone and other not in gone:
            gone[other] = float(jaccards[pair]), rows["id"][one]
    return rows[list(gone)].with_columns(
        score=pl.Series([score for score, _ in gone.values()], dtype=pl.Float64),
        partner=pl.Series([partner for _, partner in gone.values()], dtype=pl.String),
    )


def _compare(texts: list[str], firsts: Places, seconds: Places, threshold: float) -> npt.NDArray[np.float64]:
    """Measure the Jaccard of pairs; below the threshold it may be 0. Without words, equal texts are alike."""
    sets = make_word_sets(texts)
    jaccards = measure_pairs(sets, firsts, sets, seconds, least=threshold)
    wordless = np.flatnonzero((sets.sizes[firsts] == 0) & (sets.sizes[seconds] == 0))
    for pair in wordless.tolist():
        jaccards[pair] = texts[firsts[pair]].strip() == texts[seconds[pair]].strip()
    return jaccards


def _pair_variants(instructions: pl.Series) -> Iterator[tuple[int, int]]:
    lengths = instructions.rle().struct.field("len").to_list()
    start = 0
    for length in lengths:
        yield from itertools.combinations(range(start, start + length), 2)
        start += length
