"""Pairs of preference data that teach nothing, or the wrong thing: for frames with `chosen` and `rejected`.

Example:
    find(frame, ["pair_alike", "pair_scores"])    # a frame with chosen, rejected and their scores
"""

from typing import ClassVar, Final, Literal

import polars as pl
from pydantic import Field

from multifaceted.curation.base import NOTE, Filter, RowFilter
from multifaceted.errors import InputError, Problem

PAIR: Final = frozenset({"chosen", "rejected"})
SCORES: Final = frozenset({"score_chosen", "score_rejected"})
PAIR_COLUMNS: Final = (*sorted(PAIR), *sorted(SCORES))


class PairAlikeFilter(RowFilter):
    """A pair that differs only at its end gives a trainer a gradient from a few tokens."""

    name: ClassVar[str] = "pair_alike"
    summary: ClassVar[str] = "chosen and rejected are the same, or begin with the same long text"
    needs: ClassVar[frozenset[str]] = PAIR
    most_shared: float = Field(default=0.8, gt=0, le=1)  # of the longer text, that both begin with

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        pairs = zip(rows["chosen"].str.strip_chars(), rows["rejected"].str.strip_chars(), strict=True)
        shared = [_measure_shared(chosen, rejected) for chosen, rejected in pairs]
        return rows.with_columns(
            score=pl.Series(shared, dtype=pl.Float64), detail=pl.lit("they begin with the same text")
        ).filter(pl.col("score") >= self.most_shared)


class PairLengthFilter(RowFilter):
    """Where chosen texts are longer by much, a model learns to be long; so such pairs are noted."""

    name: ClassVar[str] = "pair_length"
    summary: ClassVar[str] = "chosen is many times as long as rejected, or the other way round"
    needs: ClassVar[frozenset[str]] = PAIR
    action: Literal["drop", "note"] = NOTE
    times: float = Field(default=4, gt=1)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        chosen, rejected = (pl.col(name).str.len_chars().clip(1) for name in ("chosen", "rejected"))
        ratio = chosen / rejected
        return rows.with_columns(
            score=ratio, detail=pl.format("{} against {} characters", chosen, rejected)
        ).filter((ratio >= self.times) | (ratio <= 1 / self.times))


class PairScoresFilter(RowFilter):
    """Compares the scores or rewards that a pair came with."""

    name: ClassVar[str] = "pair_scores"
    summary: ClassVar[str] = "the score of chosen is not above that of rejected by the margin"
    needs: ClassVar[frozenset[str]] = PAIR | SCORES
    margin: float = Field(default=0, ge=0)  # in the scores' own unit; 0: chosen must only be better

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to; pairs without both scores pass."""
        chosen, rejected = (pl.col(name).cast(pl.Float64, strict=False) for name in sorted(SCORES))
        difference = chosen - rejected
        return rows.with_columns(
            score=difference, detail=pl.format("{} against {}", chosen, rejected)
        ).filter((difference <= 0) | (difference < self.margin))


PAIR_FILTERS: Final[tuple[Filter, ...]] = (PairAlikeFilter(), PairLengthFilter(), PairScoresFilter())


def read_last_turn(column: pl.Series) -> pl.Series:
    """Return the text of one side of each pair, given as text or as turns with `content`.

    Raises:
        InputError: where the column holds neither.
    """
    kind = column.dtype
    if isinstance(kind, pl.List):
        if not (isinstance(kind.inner, pl.Struct) and "content" in dict(kind.inner)):
            message = f"column {column.name!r} holds lists that are no turns: each needs a `content`"
            raise InputError([Problem("frame", 0, message)])
        column = column.list.last().struct.field("content")
    return column.cast(pl.String).fill_null("")


def _measure_shared(one: str, other: str) -> float:
    if one == other:
        return 1.0
    shorter, longer = sorted((one, other), key=len)
    if longer.startswith(shorter):
        return len(shorter) / len(longer)
    low, high = 0, len(shorter)
    while low < high:  # the longest common beginning, without a step for each character
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[:middle] == other[:middle] else (low, middle - 1)
    return low / len(longer)
