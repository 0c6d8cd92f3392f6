"""Rows of a file as they stand there, one at a time: JSONL, JSON, CSV or Parquet.

Example:
    for row in read_rows(Path("pool.csv"), "csv"): ...
"""

import csv
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json

from multifaceted.errors import InputError, Problem
from multifaceted.inputfile import require_input

FileFormat = Literal["jsonl", "json", "csv", "parquet"]
FORMATS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
}
BATCH_ROWS = 1000
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in its file. `line` is its line in JSONL and CSV, elsewhere its number, from 1."""

    line: int
    data: dict[str, Any]
    fault: str = ""  # why it could not be read; `data` is empty then
    raw: str = ""  # what stands there in its place


def read_rows(
    path: Path, file_format: FileFormat, *, columns: Collection[str] | None = None
) -> Iterator[RawRow]:
    """Yield the rows of a file, those that cannot be read included.

    Args:
        path: of the file.
        file_format: what it is, whatever its name ends in.
        columns: the fields that are needed; None for all. Of Parquet only these are read; rows of other
            formats have all their fields in any case.

    Raises:
        InputError: where the file as a whole cannot be read.
    """
    require_input(path)
    readers = {"jsonl": _read_jsonl, "json": _read_json, "csv": _read_csv}
    try:
        yield from _read_parquet(path, columns) if file_format == "parquet" else readers[file_format](path)
    except OSError as error:
        raise _fault(path, f"cannot be read: {error.strerror or error}") from error
    except (pa.ArrowException, OverflowError) as error:  # the latter: a date that Python cannot hold
        raise _fault(path, f"is no readable Parquet file: {error}") from error
    except csv.Error as error:
        raise _fault(path, f"is no readable CSV file: {error}") from error
    except UnicodeDecodeError as error:
        raise _fault(path, f"is not UTF-8 text: {error.reason}") from error


def _read_jsonl(path: Path) -> Iterator[RawRow]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            # A byte order mark at the head of the file is no part of the first line.
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


def _read_json(path: Path) -> Iterator[RawRow]:
    try:
        rows = from_json(path.read_bytes().removeprefix(BYTE_ORDER_MARK))
    except ValueError as error:
        raise _fault(path, f"is not valid JSON: {error}") from error
    if not isinstance(rows, list):
        raise _fault(path, "is no JSON list of rows")
    for number, row in enumerate(rows, start=1):
        yield _accept(number, row)


def _read_csv(path: Path) -> Iterator[RawRow]:
    # Of the process: the module knows no other way, and 128 KB is too little.
    csv.field_size_limit(sys.maxsize)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        begins = 2
        for data in reader:
            if None in data:
                yield RawRow(begins, {}, "has more cells than the header", str(data))
            else:
                yield RawRow(begins, data)
            begins = reader.line_num + 1


def _read_parquet(path: Path, wanted: Collection[str] | None) -> Iterator[RawRow]:
    with pq.ParquetFile(path) as file:
        columns = None if wanted is None else [name for name in file.schema_arrow.names if name in wanted]
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for data in batch.to_pylist():
                number += 1
                yield RawRow(number, data)


def _fault(path: Path, message: str) -> InputError:
    return InputError([Problem(str(path), 0, message)])
