"""Rows of a file as they stand there, one at a time: JSONL, JSON, CSV or Parquet.

Example:
    for row in read_rows(Path("pool.csv"), "csv"): ...
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Literal

from multifaceted.errors import InputError, Problem
from multifaceted.inputfile import require_input
from multifaceted.instructions.csv_rows import read_csv
from multifaceted.instructions.json_rows import read_json, read_jsonl
from multifaceted.instructions.parquet_rows import DAMAGE, read_parquet
from multifaceted.instructions.raw import RawRow

FileFormat = Literal["jsonl", "json", "csv", "parquet"]
FORMATS: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


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
    try:
        if file_format == "jsonl":
            yield from read_jsonl(path)
        elif file_format == "json":
            yield from read_json(path, columns)
        elif file_format == "csv":
            yield from read_csv(path, columns)
        else:
            yield from read_parquet(path, columns)
    except UnicodeDecodeError as error:
        raise _fault(path, f"is not text in {error.encoding}: {error.reason}") from error
    except DAMAGE as error:
        kind = {"csv": "CSV", "parquet": "Parquet"}.get(file_format, "JSON")
        reason = getattr(error, "strerror", None) or error
        raise _fault(path, f"is not a readable {kind} file: {reason}") from error


def _fault(path: Path, message: str) -> InputError:
    return InputError([Problem(str(path), 0, message)])
