"""Rows of a run or of a built folder as frames of one shape: `read_frames(open_rows(Path("run")))`."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from multifaceted.building.source import RowSource, open_source
from multifaceted.errors import StorageError

TEXTS = ("system", "prompt", "output")
COLUMNS = (
    "id",
    "instruction_id",
    "variant",
    "main_source",
    "original_source",
    "preference_set",
    *TEXTS,
    "seed_preferences",
)


def open_rows(path: Path, *, curated: bool = True) -> RowSource:
    """Open a run folder, whole or at work, or a built folder; `curated` leaves out what curation drops.

    Raises:
        StorageError: where it is neither, or holds no rows.
    """
    source = open_source(path, curated=curated, whole=False)
    if next(read_frames(source), None) is None:
        hint = (
            "see how far the run is with `multifaceted status`; where curation drops all rows: --no-curation"
        )
        raise StorageError(f"{path} has no rows to look at", hint=hint)
    return source


def read_frames(source: RowSource, *, further: Iterable[str] = ()) -> Iterator[pl.DataFrame]:
    """Read the rows batch by batch: `COLUMNS`, the records of the run's stages, and further columns."""
    names = [*COLUMNS, *source.run.stages.values(), *further]
    batches = (batch.select(names) for batch in source.read_rows() if batch.num_rows)
    return (pl.DataFrame(pl.from_arrow(batch)) for batch in batches)
