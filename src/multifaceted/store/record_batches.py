"""Record batches of the size that is wanted: made of rows, or of batches of any other size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.json
from pydantic import BaseModel
from pydantic_core import to_json

from multifaceted.store.schema import arrow_schema

BATCH_ROWS = 500  # small batches cost size and speed, large ones memory; 100 to 1000 measured alike


def make_batches(rows: Iterable[BaseModel], model: type[BaseModel]) -> Iterator[pa.RecordBatch]:
    """Turn validated rows of one model into record batches."""
    schema, rest = arrow_schema(model), iter(rows)
    while some := [row.model_dump() for row in islice(rest, BATCH_ROWS)]:
        yield rows_to_batch(some, schema)


def rows_to_batch(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Convert rows to one record batch; keys that a row lacks become nulls.

    They go through JSON, which Arrow parses in C++: `from_pylist` imports pandas where that is installed, and
    a run that talks to endpoints would stand still for the seconds that takes.

    Raises:
        pyarrow.ArrowInvalid: where a row has a key that the schema lacks, or a value of another type.
    """
    if not rows:
        empty = [pa.nulls(0, field.type) for field in schema]
        return pa.RecordBatch.from_arrays(empty, schema=schema)
    text = b"\n".join(map(to_json, rows))
    table = pyarrow.json.read_json(
        pa.BufferReader(text),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),  # one batch
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error"),
    )
    [batch] = table.to_batches()
    return batch


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
