"""Rows that are near another row of the run, by true Jaccard similarity; or that have the id of another.

The row that comes first stays. So the partner of a dropped row is always one that is kept, and a chain of
small changes does not drop what is far from all that is left.
"""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RunFilter, RunFinder
from multifaceted.similar.near import NearSpec
from multifaceted.similar.stream import NearStream

_SEED = 7
_PERMUTATIONS = 96  # 24 bands of 4: at a similarity of 0.7 all but one pair of 700 is a candidate


class NearSystemFilter(RunFilter):
    """Compares all system messages of a run, by shingles of three words."""

    name: ClassVar[str] = "near_duplicate_system"
    needs: ClassVar[frozenset[str]] = frozenset({"id", "system"})
    summary: ClassVar[str] = "the system message is nearly that of another row"
    threshold: float = Field(default=0.7, gt=0, le=1)  # Jaccard similarity

    def begin(self) -> RunFinder:
        """Return a finder that remembers the system messages of the rows that stay."""
        stream = NearStream(NearSpec(threshold=self.threshold, permutations=_PERMUTATIONS))
        ids: list[str] = []

        def find(rows: pl.DataFrame) -> pl.DataFrame:
            start = len(ids)
            ids.extend(rows["id"])
            matches = stream.add(rows["system"].to_list())
            return rows[[match.row - start for match in matches]].with_columns(
                score=pl.Series([match.jaccard for match in matches], dtype=pl.Float64),
                partner=pl.Series([ids[match.kept] for match in matches], dtype=pl.String),
            )

        return find


class DuplicateIdFilter(RunFilter):
    """An id must name one row, or configs do not fit together."""

    name: ClassVar[str] = "duplicate_id"
    needs: ClassVar[frozenset[str]] = frozenset({"id"})
    summary: ClassVar[str] = "another row has the same id"

    def begin(self) -> RunFinder:
        """Return a finder that remembers all ids."""
        seen = pl.DataFrame(schema={"_hash": pl.UInt64})

        def find(rows: pl.DataFrame) -> pl.DataFrame:
            nonlocal seen
            hashed = rows.with_columns(_hash=pl.col("id").hash(_SEED), partner=pl.col("id"))
            again = ~pl.col("_hash").is_first_distinct() | pl.col("_hash").is_in(seen["_hash"].implode())
            found = hashed.filter(again)
            seen = pl.concat([seen, hashed.select("_hash")])
            return found.drop("_hash")

        return find
