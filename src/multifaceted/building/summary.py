"""What the card says of the rows: counts by source, subdimension and stage, taken batch by batch."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl
import pyarrow as pa

TOP_SUBDIMENSIONS = 5  # of each dimension
COUNTED = ("instruction_id", "main_source", "preference_set")
PAIR = ("dimension", "subdimension")


class SourceCount(NamedTuple):
    """What came from one source of instructions."""

    name: str
    instructions: int
    rows: int


@dataclass
class RowSummary:
    """Counts over all rows of a run."""

    stages: dict[str, str]  # and the column that says how each was made
    rows: int = 0
    instructions: int = 0
    dimensions: list[str] = field(default_factory=list)  # in the order of the taxonomy
    # By stage: prompt, completion.
    tokens: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    _rows_of: Counter[str] = field(default_factory=Counter)  # by source
    _instructions_of: Counter[str] = field(default_factory=Counter)
    _pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last_instruction: str = ""

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch of run rows; rows of one instruction stand together."""
        if not batch.num_rows:
            return
        # Without the texts: a frame of them would stay in memory for a while.
        frame = pl.DataFrame(pl.from_arrow(batch.select([*COUNTED, *self.stages.values()])))
        self.dimensions = self.dimensions or [entry["dimension"] for entry in frame["preference_set"][0]]
        self.rows += frame.height
        ids = frame["instruction_id"]
        firsts = frame.filter(ids != ids.shift(1, fill_value=self._last_instruction))
        self._last_instruction = ids[-1]
        self.instructions += firsts.height
        for counts, rows in ((self._rows_of, frame), (self._instructions_of, firsts)):
            counts.update(dict(rows["main_source"].value_counts().iter_rows()))
        entries = frame["preference_set"].explode()
        pairs = pl.DataFrame({name: entries.struct.field(name) for name in PAIR}).group_by(PAIR).len()
        self._pairs.update({(dimension, name): rows for dimension, name, rows in pairs.iter_rows()})
        for stage, column in self.stages.items():
            self.tokens[stage].update(sum_tokens(frame[column]))

    @property
    def sources(self) -> list[SourceCount]:
        """Sources of the instructions, those with most rows first."""
        return [SourceCount(name, self._instructions_of[name], rows) for name, rows in _rank(self._rows_of)]

    @property
    def subdimensions(self) -> dict[str, list[tuple[str, int]]]:
        """Return the most frequent subdimensions of each dimension; ties in alphabetical order."""
        return {
            dimension: _rank({name: rows for (d, name), rows in self._pairs.items() if d == dimension})[
                :TOP_SUBDIMENSIONS
            ]
            for dimension in self.dimensions
        }


def sum_tokens(records: pl.Series) -> dict[str, int]:
    """Return tokens of the records of one stage, by kind."""
    if isinstance(records.dtype, pl.List):  # of a stage that asks once for each preference
        records = records.explode()
    return records.struct.field("tokens").struct.unnest().sum().row(0, named=True)


def _rank(counts: dict[str, int]) -> list[tuple[str, int]]:
    """Most frequent first, ties in alphabetical order: a group-by gives them in any."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def summarize_rows(batches: Iterable[pa.RecordBatch], stages: dict[str, str]) -> RowSummary:
    """Count all rows of a run that has these stages."""
    summary = RowSummary(stages)
    for batch in batches:
        summary.add(batch)
    return summary
