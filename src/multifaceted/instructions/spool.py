"""Where prompts wait between the steps: an Arrow file on disk, mapped into memory, so that none are held."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from multifaceted.instructions.mapping import Candidate
from multifaceted.similar.words import Places
from multifaceted.store.atomic import translate_os_errors

BATCH_ROWS = 2000
CANDIDATE_FIELDS = [field.name for field in fields(Candidate)]
SCHEMA = pa.schema(
    [("pool", pa.int32()), ("line", pa.int64())]
    + [(name, pa.string()) for name in ("prompt", "id", "source", "original_source", "licence")]
)


class Spool:
    """Candidates are added in order, and read after `finish`. The file is gone after the block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._batch: list[Candidate] = []

    def __enter__(self) -> Self:
        with translate_os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)

    def add(self, candidate: Candidate) -> int:
        """Add a row; gives its number."""
        self._batch.append(candidate)
        self.rows += 1
        if len(self._batch) == BATCH_ROWS:
            self._flush()
        return self.rows - 1

    def finish(self) -> "SpoolRows":
        """Write what is left, and open all for reading."""
        self._flush()
        with translate_os_errors(self.path):
            self._writer.close()
            self._file.flush()
        return SpoolRows(pa.ipc.open_file(pa.memory_map(str(self.path))).read_all().to_batches())

    def _flush(self) -> None:
        columns = [[getattr(row, name) for row in self._batch] for name in SCHEMA.names]
        self._batch = []
        with translate_os_errors(self.path):
            self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))


class SpoolRows:
    """The rows of a finished spool, by number."""

    def __init__(self, batches: list[pa.RecordBatch]) -> None:
        self._batches = batches
        table = pa.Table.from_batches(batches, SCHEMA)
        self.prompts = table["prompt"]
        self.ids: list[str] = table["id"].to_pylist()
        self.pools: list[int] = table["pool"].to_pylist()
        self.sources: list[str] = table["source"].to_pylist()

    def __len__(self) -> int:
        return len(self.ids)

    def read_prompts(self, numbers: Places) -> Iterator[tuple[Places, list[str]]]:
        """The prompts of some rows by ascending number, batch by batch, with these numbers."""
        for some, rows in self._take(numbers):
            yield some, rows["prompt"].to_pylist()

    def read_batches(self, numbers: Places) -> Iterator[pa.RecordBatch]:
        """Some rows by ascending number, batch by batch."""
        for _, rows in self._take(numbers):
            yield rows

    def read(self, numbers: Places) -> Iterator[tuple[int, Candidate]]:
        """Some rows by ascending number, a batch in memory at a time."""
        for some, rows in self._take(numbers):
            columns = [rows[name].to_pylist() for name in CANDIDATE_FIELDS]
            yield from zip(some.tolist(), map(Candidate, *columns), strict=True)

    def _take(self, numbers: Places) -> Iterator[tuple[Places, pa.RecordBatch]]:
        start = 0
        for batch in self._batches:
            first, last = np.searchsorted(numbers, (start, start + batch.num_rows))
            if first < last:
                some = numbers[first:last]
                yield some, batch.take(pa.array(some - start)) if len(some) < batch.num_rows else batch
            start += batch.num_rows
