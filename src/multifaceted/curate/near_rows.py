"""Rows that are near another row of the run: `rensa` finds candidates, true Jaccard similarity decides.

The row that comes first stays. So the partner of a dropped row is always one that is kept, and a chain of
small changes does not drop what is far from all that is left.
"""

import re
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from multifaceted.curate.base import RunFilter, RunFinder
from multifaceted.errors import import_extra

_WORD = re.compile(r"\w+")
_SEED = 7
_BANDS = 24  # of 4 rows each: at a similarity of 0.7 all but one pair of 700 is a candidate
_SLOTS = 96


class NearSystemFilter(RunFilter):
    """Compares all system messages of a run, by shingles of three words."""

    name: ClassVar[str] = "near_duplicate_system"
    summary: ClassVar[str] = "the system message is nearly that of another row"
    threshold: float = Field(default=0.7, gt=0, le=1)  # Jaccard similarity

    def begin(self) -> RunFinder:
        """A finder that remembers the system messages of the rows that stay."""
        return _NearTexts(self.threshold).find


class DuplicateIdFilter(RunFilter):
    """An id must name one row, or configs do not fit together."""

    name: ClassVar[str] = "duplicate_id"
    summary: ClassVar[str] = "another row has the same id"

    def begin(self) -> RunFinder:
        """A finder that remembers all ids."""
        seen = pl.DataFrame(schema={"_hash": pl.UInt64})

        def find(rows: pl.DataFrame) -> pl.DataFrame:
            nonlocal seen
            hashed = rows.with_columns(_hash=pl.col("id").hash(_SEED), partner=pl.col("id"))
            again = ~pl.col("_hash").is_first_distinct() | pl.col("_hash").is_in(seen["_hash"].implode())
            found = hashed.filter(again)
            seen = pl.concat([seen, hashed.select("_hash")])
            return found.drop("_hash")

        return find


class _NearTexts:
    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._rensa = import_rensa()
        self._index = self._rensa.RMinHashLSH(threshold, _SLOTS, _BANDS)
        self._texts: list[str] = []  # of the rows that stay; their place is their key in the index
        self._ids: list[str] = []

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows whose system message is near one before; the others are remembered."""
        gone: list[tuple[int, float, str]] = []
        texts = rows["system"].to_list()
        sketches = self._rensa.RMinHash.from_token_sets(list(map(cut_shingles, texts)), _SLOTS, _SEED)
        for index, sketch in enumerate(sketches):
            near = self._find_partner(sketch, texts[index])
            if near is None:
                self._index.insert(len(self._texts), sketch)
                self._texts.append(texts[index])
                self._ids.append(rows["id"][index])
            else:
                gone.append((index, *near))
        found = rows[[index for index, *_ in gone]] if gone else rows.clear()
        return found.with_columns(
            score=pl.Series([score for _, score, _ in gone], dtype=pl.Float64),
            partner=pl.Series([partner for *_, partner in gone], dtype=pl.String),
        )

    def _find_partner(self, sketch: Any, text: str) -> tuple[float, str] | None:
        near = sorted(self._index.query(sketch))
        shingles = set(cut_shingles(text)) if near else set()
        for key in near:
            similarity = compare_words(shingles, set(cut_shingles(self._texts[key])))
            if similarity >= self._threshold:
                return similarity, self._ids[key]
        return None


def cut_shingles(text: str) -> list[str]:
    """Runs of three words; of a shorter text, all of it."""
    words = _WORD.findall(text.lower())
    shingles = map(" ".join, zip(words, words[1:], words[2:], strict=False))  # the fastest way there is
    return list(shingles) or [" ".join(words)]


def split_words(text: str) -> set[str]:
    """The words of a text, in lower case; of a text without any, itself."""
    return set(_WORD.findall(text.lower())) or {text.strip()}


def compare_words(one: set[str], other: set[str]) -> float:
    """The Jaccard similarity of two sets."""
    return len(one & other) / len(one | other)


def sketch_words(texts: pl.Series, slots: int) -> NDArray[np.uint32]:
    """A MinHash sketch of each text's words, one row for each; equal words give equal slots."""
    words = texts.str.to_lowercase().str.split(" ")
    offsets = np.concatenate([[0], np.cumsum(words.list.len().to_numpy())])
    hashes = words.explode().hash(_SEED)
    matrix = import_rensa().RMinHash.digest_matrix_from_flat_token_hashes(
        hashes.to_numpy(), offsets.astype(np.uint64), slots, _SEED
    )
    return np.array(matrix.to_rows(), dtype=np.uint32)


def import_rensa() -> Any:
    """The MinHash library.

    Raises:
        SetupError: where it is not installed.
    """
    return import_extra("rensa", "curation", "comparing rows")
