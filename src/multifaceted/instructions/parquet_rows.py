"""Rows of a Parquet file: what cannot be read of it is a broken row, and no end of all the others."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from multifaceted.instructions.raw import RawRow, accept_row

BATCH_ROWS = 1000
# What pyarrow raises on damaged pages, and Python on values that it cannot hold, such as far dates.
DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)


def read_parquet(path: Path, wanted: Collection[str] | None) -> Iterator[RawRow]:
    """Yield the rows of a file, those of damaged row groups as broken ones.

    Args:
        path: of the file.
        wanted: the columns to read; None for all.

    Raises:
        pa.ArrowException: where its footer cannot be read.
    """
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        names = file.schema_arrow.names
        columns = None if wanted is None else [name for name in names if name in wanted]
        before = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            yield from _read_group(file, group, columns, before, rows)
            before += rows


def _read_group(
    file: pq.ParquetFile, group: int, columns: list[str] | None, before: int, rows: int
) -> Iterator[RawRow]:
    done = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns):
            yield from _read_batch(batch, before + done)
            done += batch.num_rows
    except DAMAGE as error:
        reason = f"stands in a damaged part of the file: {' '.join(str(error).split())}"
        yield from (RawRow(before + number, {}, reason) for number in range(done + 1, rows + 1))


def _read_batch(batch: pa.RecordBatch, before: int) -> Iterator[RawRow]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except DAMAGE:
        yield from (_read_row(batch.slice(n, 1), before + n + 1) for n in range(batch.num_rows))
    else:
        yield from (accept_row(before + number, row) for number, row in enumerate(rows, start=1))


def _read_row(row: pa.RecordBatch, number: int) -> RawRow:
    data: dict[str, Any] = {}
    for name in row.schema.names:
        try:
            [data[name]] = row.column(name).to_pylist()
        except UnicodeDecodeError as error:
            return RawRow(number, {}, f"{name!r} is not UTF-8 text: {error.reason}", repr(error.object[:200]))
        except DAMAGE as error:
            return RawRow(number, {}, f"{name!r} cannot be read: {error}")
    return accept_row(number, data)
