"""System messages that copy the description of a preference instead of weaving it in."""

import re
from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter

# Not the words of `similar`: the number is told to people, for whom "don't" is one word.
_WORD = re.compile(r"\w+(?:['’]\w+)*")


class QuotedFilter(RowFilter):
    """So many words in a row, of a description or of a preference's own name, stand in the system message."""

    name: ClassVar[str] = "quoted_preferences"
    needs: ClassVar[frozenset[str]] = frozenset({"preference_set", "system"})
    summary: ClassVar[str] = "the system message quotes a preference word for word"
    min_words: int = Field(default=12, ge=4)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        system = pl.col("system").str.to_lowercase()
        entries = rows.select("position", "preference_set", _system=system).explode("preference_set")
        entries = entries.unnest("preference_set")
        # Cut a description into blocks of half the length: a quotation holds one of them whole, at least
        # where only white space between its words may differ. What holds a block is looked at closely.
        block = rf"\S+(?:\s+\S+){{{self.min_words // 2 - 1}}}"
        texts = pl.col("description").str.to_lowercase().str.extract_all(block)
        blocks = entries.select("position", "description", "_system", text=texts)
        blocks = blocks.explode("text").drop_nulls("text")
        near = blocks.filter(pl.col("_system").str.contains(pl.col("text"), literal=True))
        quoted = {
            position: shared
            for position, description, text in near.select("position", "description", "_system")
            .unique()
            .iter_rows()
            if (shared := longest_shared(description, text)) >= self.min_words
        }
        found = pl.DataFrame(
            {"position": list(quoted), "score": [float(words) for words in quoted.values()]},
            schema={"position": rows.schema["position"], "score": pl.Float64},
        )
        return rows.join(found, on="position", how="inner").with_columns(
            detail=pl.format("{} words in a row", pl.col("score").cast(pl.Int64))
        )


def longest_shared(one: str, other: str) -> int:
    """Return how many words the longest run of words has that stands in both texts."""
    left, right = _WORD.findall(one.lower()), _WORD.findall(other.lower())
    places: dict[str, list[int]] = {}
    for index, word in enumerate(right):
        places.setdefault(word, []).append(index)
    longest, runs = 0, dict[int, int]()
    for word in left:
        runs = {index: runs.get(index - 1, 0) + 1 for index in places.get(word, ())}
        longest = max(longest, max(runs.values(), default=0))
    return longest
