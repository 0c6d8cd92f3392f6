"""Variants of one instruction that are too much alike: their responses, or their preference sets.

MinHash sketches say which pairs are worth comparing; those are compared by their true Jaccard similarity.
"""

import itertools
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from multifaceted.curate.base import VariantFilter
from multifaceted.curate.near_rows import compare_words, import_rensa, sketch_words, split_words

_SLOTS = 64  # of a sketch; the estimate's standard error is 0.06 at most
_SHORT = 300  # characters; of so few words a mark makes too many different
_MARGIN = 0.2  # how far below the threshold an estimate may lie and still be looked at


class AlikeResponsesFilter(VariantFilter):
    """Near-identical responses to different system messages make useless pairs. The first is kept."""

    name: ClassVar[str] = "alike_responses"
    summary: ClassVar[str] = "the response is nearly that to another system message of the same instruction"
    threshold: float = Field(default=0.85, gt=0, le=1)  # Jaccard similarity of the words

    def prepare(self) -> None:
        """See whether `rensa` is there."""
        import_rensa()

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows it objects to."""
        return find_alike(rows, pl.col("output"), self.threshold)


class AlikePreferencesFilter(VariantFilter):
    """Preference sets that say the same give system messages that say the same. The first is kept."""

    name: ClassVar[str] = "alike_preferences"
    summary: ClassVar[str] = "the preference set is nearly that of another variant of the same instruction"
    threshold: float = Field(default=0.7, gt=0, le=1)  # Jaccard similarity of the words of all descriptions

    def prepare(self) -> None:
        """See whether `rensa` is there."""
        import_rensa()

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows it objects to."""
        entry = pl.element().struct
        text = pl.col("preference_set").list.eval(entry["preference"] + " " + entry["description"])
        return find_alike(rows, text.list.join(" "), self.threshold)


def find_alike(rows: pl.DataFrame, text: pl.Expr, threshold: float) -> pl.DataFrame:
    """Rows whose text is like that of an earlier variant that stays.

    Args:
        rows: with `instruction_id` and `id`, those of an instruction one after the other.
        text: what to compare.
        threshold: the least Jaccard similarity of the sets of words.
    """
    rows = rows.with_columns(_text=text)
    pairs = list(_pair_variants(rows["instruction_id"]))
    if not pairs:
        return rows.clear().drop("_text")
    first, second = np.array(pairs).T
    sketches = sketch_words(rows["_text"], _SLOTS)
    alike = (sketches[first] == sketches[second]).mean(axis=1) >= threshold - _MARGIN
    lengths = rows["_text"].str.len_chars().to_numpy()
    alike |= np.maximum(lengths[first], lengths[second]) < _SHORT
    texts, ids = rows["_text"], rows["id"]
    gone: dict[int, tuple[float, str]] = {}
    for one, other in zip(first[alike].tolist(), second[alike].tolist(), strict=True):
        if one in gone or other in gone:
            continue
        similarity = compare_words(split_words(texts[one]), split_words(texts[other]))
        if similarity >= threshold:
            gone[other] = similarity, ids[one]
    found = rows[list(gone)] if gone else rows.clear()
    return found.drop("_text").with_columns(
        score=pl.Series([score for score, _ in gone.values()], dtype=pl.Float64),
        partner=pl.Series([partner for _, partner in gone.values()], dtype=pl.String),
    )


def _pair_variants(instructions: pl.Series) -> Iterator[tuple[int, int]]:
    lengths = instructions.rle().struct.field("len").to_list()
    start = 0
    for length in lengths:
        yield from itertools.combinations(range(start, start + length), 2)
        start += length
