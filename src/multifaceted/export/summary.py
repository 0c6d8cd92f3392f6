"""What the card says of the rows: counts by source, subdimension and stage, taken batch by batch."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from multifaceted.records import STAGES

TOP_SUBDIMENSIONS = 5  # of each dimension


@dataclass
class RowSummary:
    """Counts over all rows of a run; `example` is its first row."""

    rows: int = 0
    instructions: int = 0
    example: dict[str, Any] = field(default_factory=dict)
    _sources: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, dict[str, int]] = field(default_factory=dict)  # by stage
    _pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    _last_instruction: str = ""

    def add(self, batch: pa.RecordBatch) -> None:
        """Count one batch of run rows; rows of one instruction stand together."""
        if not batch.num_rows:
            return
        frame = pl.DataFrame(pl.from_arrow(batch))
        self.example = self.example or frame.row(0, named=True)
        self.rows += frame.height
        starts = frame["instruction_id"].ne_missing(frame["instruction_id"].shift(1)).sum()
        self.instructions += starts - (frame["instruction_id"][0] == self._last_instruction)
        self._last_instruction = frame["instruction_id"][-1]
        self._sources.update(dict(frame["main_source"].value_counts().iter_rows()))
        entries = frame["preference_set"].explode().struct.unnest()
        pairs = entries.group_by("dimension", "subdimension").len()
        self._pairs.update({(dimension, name): rows for dimension, name, rows in pairs.iter_rows()})
        for stage in STAGES:
            if stage in frame.columns:
                self._add_tokens(stage, frame[stage])

    def _add_tokens(self, stage: str, records: pl.Series) -> None:
        if isinstance(records.dtype, pl.List):  # of a stage that asks once for each preference
            records = records.explode()
        spent = records.struct.field("tokens").struct.unnest().sum().row(0, named=True)
        sums = self.tokens.setdefault(stage, dict.fromkeys(spent, 0))
        for kind, tokens in spent.items():
            sums[kind] += tokens

    @property
    def sources(self) -> dict[str, int]:
        """Rows by source of the instruction, most frequent first."""
        return dict(_rank(self._sources.items()))

    @property
    def dimensions(self) -> list[str]:
        """Dimensions in the order of the taxonomy."""
        return [entry["dimension"] for entry in self.example.get("preference_set", [])]

    @property
    def subdimensions(self) -> dict[str, list[tuple[str, int]]]:
        """The most frequent subdimensions of each dimension; ties in alphabetical order."""
        return {
            dimension: _rank((name, rows) for (d, name), rows in self._pairs.items() if d == dimension)[
                :TOP_SUBDIMENSIONS
            ]
            for dimension in self.dimensions
        }


def _rank(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Most frequent first, ties in alphabetical order: a group-by gives them in any."""
    return sorted(counts, key=lambda pair: (-pair[1], pair[0]))


def summarize_rows(batches: Iterable[pa.RecordBatch]) -> RowSummary:
    """Count all rows of a run."""
    summary = RowSummary()
    for batch in batches:
        summary.add(batch)
    return summary
