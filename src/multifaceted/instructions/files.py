"""The files that a preparation writes, as Parquet or JSONL, whole or not at all.

Out stands beside `<stem>.dropped`, `<stem>.changed` and `<stem>.report.json`, which is written last and is
how a later preparation knows that it may replace them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from multifaceted.errors import InputError, Problem
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.table_file import TableFormat, TableWriter

KIND = "multifaceted-instructions"
FORMATS: dict[str, TableFormat] = {".parquet": "parquet", ".jsonl": "jsonl"}  # by suffix
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


@dataclass(frozen=True, slots=True)
class OutFiles:
    """The files of one preparation."""

    out: TableWriter
    dropped: TableWriter
    changed: TableWriter
    report: Path

    def settle(self, report: dict[str, Any]) -> None:
        """Give all files their names, the report last."""
        files = (self.out, self.dropped, self.changed)
        for file in files:
            file.commit()
        names = {file.path.name: file.rows for file in files}
        write_json(self.report, {"kind": KIND, "files": names, **report})


@contextmanager
def open_files(out: Path) -> Iterator[OutFiles]:
    """The files of a preparation, open; what is not settled leaves no trace.

    Raises:
        InputError: where a file stands in the way that no preparation has written.
    """
    paths = (out, _beside(out, "dropped"), _beside(out, "changed"))
    report = out.with_name(f"{out.stem}.report.json")
    _check_ours(paths, report)
    schemas = (OUT_SCHEMA, DROPPED_SCHEMA, CHANGED_SCHEMA)
    with ExitStack() as stack:
        written, dropped, changed = (
            stack.enter_context(
                TableWriter(path, schema, file_format=FORMATS[out.suffix], batch_rows=BATCH_ROWS)
            )
            for path, schema in zip(paths, schemas, strict=True)
        )
        yield OutFiles(written, dropped, changed, report)


def _check_ours(paths: tuple[Path, ...], report: Path) -> None:
    out = paths[0]
    if out.suffix not in FORMATS:
        raise InputError([Problem("--out", 0, f"{out} does not end in {' or '.join(FORMATS)}")])
    found = read_json(report) if report.is_file() else None
    ours = found.get("files", {}) if isinstance(found, dict) and found.get("kind") == KIND else {}
    theirs = [path for path in paths if path.exists() and path.name not in ours]
    if report.exists() and not ours:
        theirs.append(report)
    if theirs:
        message = "is there already, and not from `instructions prepare`"
        problems = [Problem(str(path), 0, message) for path in theirs]
        raise InputError(problems, hint="choose another --out, or move it away")


def _beside(out: Path, word: str) -> Path:
    return out.with_name(f"{out.stem}.{word}{out.suffix}")
