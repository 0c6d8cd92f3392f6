"""Where prompts wait between the steps: an Arrow file on disk, mapped into memory, so that none are held."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from multifaceted.instructions.mapping import Candidate
from multifaceted.similar.words import Places
from multifaceted.store.table_file import TableWriter

BATCH_ROWS = 2000
SCHEMA = pa.schema(  # the fields of a candidate, in their order
    [("pool", pa.int32()), ("line", pa.int64())]
    + [(name, pa.string()) for name in ("prompt", "id", "source", "original_source", "license")]
)


class Spool:
    """Candidates are added in order, and read after `finish`."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer

    def add(self, candidate: Candidate) -> None:
        """Add a row; rows are numbered from 0."""
        self._writer.add(**{name: getattr(candidate, name) for name in SCHEMA.names})

    def finish(self) -> "SpoolRows":
        """Write what is left, and open all for reading."""
        file = pa.memory_map(str(self._writer.finish()))
        return SpoolRows(pa.ipc.open_file(file).read_all().to_batches())


@contextmanager
def open_spool(path: Path) -> Iterator[Spool]:
    """A spool, whose file is gone after the block.

    Raises:
        StorageError: where the disk is full or the folder cannot be written.
    """
    with TableWriter(path, SCHEMA, file_format="arrow_file", batch_rows=BATCH_ROWS) as writer:
        yield Spool(writer)


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
        """Yield the prompts of some rows by ascending number, batch by batch, with these numbers."""
        for some, rows in self._take(numbers):
            yield some, rows["prompt"].to_pylist()

    def read_batches(self, numbers: Places) -> Iterator[pa.RecordBatch]:
        """Yield some rows by ascending number, batch by batch."""
        for _, rows in self._take(numbers):
            yield rows

    def read(self, numbers: Places) -> Iterator[tuple[int, Candidate]]:
        """Yield some rows by ascending number, a batch in memory at a time."""
        for some, rows in self._take(numbers):
            columns = [rows[name].to_pylist() for name in SCHEMA.names]
            yield from zip(some.tolist(), map(Candidate, *columns), strict=True)

    def _take(self, numbers: Places) -> Iterator[tuple[Places, pa.RecordBatch]]:
        start = 0
        for batch in self._batches:
            first, last = np.searchsorted(numbers, (start, start + batch.num_rows))
            if first < last:
                some = numbers[first:last]
                yield some, batch.take(pa.array(some - start)) if len(some) < batch.num_rows else batch
            start += batch.num_rows
