"""Record batches of the size that is wanted: made of rows, or of batches of any other size."""

from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.store.schema import arrow_schema

BATCH_ROWS = 500  # small batches cost size and speed, large ones memory; 100 to 1000 measured alike


def make_batches(rows: Iterable[BaseModel], model: type[BaseModel]) -> Iterator[pa.RecordBatch]:
    """Turn validated rows of one model into record batches."""
    schema, rest = arrow_schema(model), iter(rows)
    while some := [row.model_dump() for row in islice(rest, BATCH_ROWS)]:
        yield pa.RecordBatch.from_pylist(some, schema=schema)


def cut_batches(batches: Iterable[pa.RecordBatch], length: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Cut batches where each part of `length` rows ends; gives them with the number of their part, from 0."""
    rows = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            piece = batch.slice(start, length - rows % length)
            yield rows // length, piece
            rows, start = rows + piece.num_rows, start + piece.num_rows


class Rebatcher:
    """Takes batches of any size and gives the same rows in batches of one size."""

    def __init__(self, schema: pa.Schema, size: int) -> None:
        self._schema = schema
        self._size = size
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Yield the batches that are full with these rows; the others are held."""
        self._held.append(batch)
        self._rows += batch.num_rows
        while self._rows >= self._size:
            table = pa.Table.from_batches(self._held, self._schema)
            yield from _copy(table.slice(0, self._size))
            self._held, self._rows = table.slice(self._size).to_batches(), self._rows - self._size

    def flush(self) -> Iterator[pa.RecordBatch]:
        """Yield what is held, as a last, smaller batch; nothing where no row is."""
        if self._rows:
            yield from _copy(pa.Table.from_batches(self._held, self._schema))
        self._held, self._rows = [], 0


def _copy(table: pa.Table) -> Iterator[pa.RecordBatch]:
    # Arrow pads a slice with bytes of the rows after it, and copies one only where it stands beside another.
    yield from pa.concat_tables([table, table.slice(0, 0)]).combine_chunks().to_batches()
