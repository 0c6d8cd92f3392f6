"""Rows of a pool, one at a time: of JSONL, JSON, CSV, Parquet, or a Hub dataset, which is streamed."""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.sources import Pool

BATCH_ROWS = 1000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in its pool. `line` is its line in JSONL and CSV, elsewhere its number, from 1."""

    line: int
    data: dict[str, Any]
    fault: str = ""  # why it could not be read; `data` is empty then
    raw: str = ""  # what stands there in its place


def read_rows(pool: Pool, folder: Path) -> Iterator[RawRow]:
    """Yield the rows of a pool, those that cannot be read included.

    Args:
        pool: what to read.
        folder: from where its path is meant.

    Raises:
        InputError: where the pool as a whole cannot be read, or is empty.
    """
    reader = {"jsonl": _read_jsonl, "json": _read_json, "csv": _read_csv, "parquet": _read_parquet}
    empty = True
    try:
        rows = _read_hub(pool) if pool.path is None else reader[pool.file_format](folder / pool.path, pool)
        for row in rows:
            empty = False
            yield row
    except OSError as error:
        raise _fault(pool, f"cannot be read: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise _fault(pool, f"is no readable Parquet file: {error}") from error
    except csv.Error as error:
        raise _fault(pool, f"is no readable CSV file: {error}") from error
    except UnicodeDecodeError as error:
        raise _fault(pool, f"is not UTF-8 text: {error.reason}") from error
    if empty:
        raise _fault(pool, "holds no row")


def _read_jsonl(path: Path, _: Pool) -> Iterator[RawRow]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            line = (raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw).strip()
            if line:
                yield _parse_line(number, line)


def _parse_line(number: int, line: bytes) -> RawRow:
    try:
        data = from_json(line)
    except ValueError as error:
        return RawRow(number, {}, f"is not valid JSON: {error}", line.decode("utf-8", "replace"))
    return _accept(number, data)


def _accept(number: int, data: Any) -> RawRow:
    if isinstance(data, dict):
        return RawRow(number, data)
    return RawRow(number, {}, "is no JSON object", str(data))


def _read_json(path: Path, pool: Pool) -> Iterator[RawRow]:
    try:
        rows = from_json(path.read_bytes().removeprefix(BYTE_ORDER_MARK))
    except ValueError as error:
        raise _fault(pool, f"is not valid JSON: {error}") from error
    if not isinstance(rows, list):
        raise _fault(pool, "is no JSON list of rows")
    for number, row in enumerate(rows, start=1):
        yield _accept(number, row)


def _read_csv(path: Path, _: Pool) -> Iterator[RawRow]:
    csv.field_size_limit(
        sys.maxsize
    )  # of the process: the module knows no other way, and 128 KB is too little
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restkey="", strict=True)
        begins = 2
        for data in reader:
            if "" in data:
                yield RawRow(begins, {}, "has more cells than the header", str(data))
            else:
                yield RawRow(begins, data)
            begins = reader.line_num + 1


def _read_parquet(path: Path, pool: Pool) -> Iterator[RawRow]:
    with pq.ParquetFile(path) as file:
        columns = [name for name in dict.fromkeys(pool.fields.columns) if name in file.schema_arrow.names]
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for data in batch.to_pylist():
                number += 1
                yield RawRow(number, data)


def _read_hub(pool: Pool) -> Iterator[RawRow]:
    import datasets  # noqa: PLC0415 - a second to import, and only Hub sources need it

    try:
        rows = datasets.load_dataset(
            pool.hub, pool.config, split=pool.split, revision=pool.revision, streaming=True
        )
        for number, data in enumerate(rows, start=1):
            yield RawRow(number, data)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        hint = "check name, config, split and revision; a private dataset needs HF_TOKEN"
        raise InputError([Problem(pool.place, 0, f"cannot be loaded: {reason}")], hint=hint) from error


def _fault(pool: Pool, message: str) -> InputError:
    return InputError([Problem(pool.place, 0, message)])
