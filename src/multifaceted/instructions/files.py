"""The files that a preparation writes: rows in batches, as Parquet or JSONL, whole or not at all.

Out stands beside `<stem>.dropped`, `<stem>.changed` and `<stem>.report.json`, which is written last and is
how a later preparation knows that it may replace them.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from multifaceted.errors import InputError, Problem
from multifaceted.store.atomic import read_json, settle_file, temporary_of, translate_os_errors, write_json

KIND = "multifaceted-instructions"
SUFFIXES = (".parquet", ".jsonl")
BATCH_ROWS = 1000
_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()
OUT_SCHEMA = pa.schema([(name, _TEXT) for name in ("id", "prompt", "source", "original_source", "licence")])
PLACE = [("pool", _TEXT), ("file", _TEXT), ("line", _WHOLE)]
DROPPED_SCHEMA = pa.schema(
    [
        ("reason", _TEXT),
        ("detail", _TEXT),
        *PLACE,
        ("id", _TEXT),
        ("prompt", _TEXT),  # of a broken row: what stands there
        ("partner_file", _TEXT),  # of duplicates and contaminated rows: what they are like
        ("partner_line", _WHOLE),
        ("partner_id", _TEXT),
        ("partner_prompt", _TEXT),
        ("similarity", _REAL),
    ]
)
CHANGED_SCHEMA = pa.schema([*PLACE, ("id", _TEXT), ("prompt", _TEXT), ("removed", _TEXT)])


class RowFile:
    """A file of rows under a temporary name, until `settle` gives it its own."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self._schema = schema
        self._temporary = temporary_of(path)
        self._batch: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        with translate_os_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.suffix == ".parquet":
                self._writer = pq.ParquetWriter(self._temporary, self._schema, compression="zstd")
            else:
                self._lines = self._temporary.open("w", encoding="utf-8", newline="\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._temporary.unlink(missing_ok=True)

    def add(self, **row: Any) -> None:
        """Write a row; what is not given is null."""
        self._batch.append(row)
        self.rows += 1
        if len(self._batch) == BATCH_ROWS:
            self._flush()

    def add_batch(self, rows: pa.RecordBatch) -> None:
        """Write many rows at once, which have all columns."""
        if self._writer:
            with translate_os_errors(self.path):
                self._writer.write_batch(rows.cast(self._schema))
            self.rows += rows.num_rows
        else:
            for row in rows.to_pylist():
                self.add(**row)

    def settle(self) -> None:
        """Make the file whole, durable, and named as it should be."""
        with translate_os_errors(self.path):
            self._flush()
            self._close()
            settle_file(self._temporary, self.path)

    def _flush(self) -> None:
        rows, self._batch = self._batch, []
        with translate_os_errors(self.path):
            if self._writer and rows:
                self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
            elif not self._writer:
                names = self._schema.names
                full = ({name: row.get(name) for name in names} for row in rows)
                self._lines.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in full)

    def _close(self) -> None:
        if self._writer:
            self._writer.close()
        else:
            self._lines.close()


class OutFiles:
    """The files of one preparation."""

    def __init__(self, out: Path) -> None:
        self.out = RowFile(out, OUT_SCHEMA)
        self.dropped = RowFile(_beside(out, "dropped"), DROPPED_SCHEMA)
        self.changed = RowFile(_beside(out, "changed"), CHANGED_SCHEMA)
        self.report = report_of(out)

    def settle(self, report: dict[str, Any]) -> None:
        """Give all files their names, the report last."""
        files = (self.out, self.dropped, self.changed)
        for file in files:
            file.settle()
        names = {file.path.name: file.rows for file in files}
        write_json(self.report, {"kind": KIND, "files": names, **report})


def report_of(out: Path) -> Path:
    """Where the report of a preparation stands."""
    return out.with_name(f"{out.stem}.report.json")


@contextmanager
def open_files(out: Path) -> Iterator[OutFiles]:
    """The files of a preparation, open; what is not settled leaves no trace.

    Raises:
        InputError: where a file stands in the way that no preparation has written.
    """
    files = OutFiles(out)
    _check_ours(files)
    with ExitStack() as stack:
        for file in (files.out, files.dropped, files.changed):
            stack.enter_context(file)
        yield files


def _check_ours(files: OutFiles) -> None:
    out = files.out.path
    if out.suffix not in SUFFIXES:
        raise InputError([Problem("--out", 0, f"{out} does not end in {' or '.join(SUFFIXES)}")])
    found = read_json(files.report) if files.report.is_file() else None
    ours = found.get("files", {}) if isinstance(found, dict) and found.get("kind") == KIND else {}
    theirs = [
        path
        for path in (out, files.dropped.path, files.changed.path)
        if path.exists() and path.name not in ours
    ]
    if files.report.exists() and not ours:
        theirs.append(files.report)
    if theirs:
        raise InputError(
            [
                Problem(str(path), 0, "is there already, and not from `instructions prepare`")
                for path in theirs
            ],
            hint="choose another --out, or move it away",
        )


def _beside(out: Path, word: str) -> Path:
    return out.with_name(f"{out.stem}.{word}{out.suffix}")
