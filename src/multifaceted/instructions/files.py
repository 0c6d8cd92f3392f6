"""The files that a preparation writes, as Parquet or JSONL, whole or not at all.

Out stands beside `<stem>.dropped`, `<stem>.changed` and `<stem>.report.json`, which is written last and is
how a later preparation knows that it may replace them.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_file
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.output_folder import replaced_files
from multifaceted.store.table_file import TableFormat, TableWriter

KIND = "multifaceted-instructions"
FORMATS: dict[str, TableFormat] = {".parquet": "parquet", ".jsonl": "jsonl"}  # by suffix
BATCH_ROWS = 1000
_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()
OUT_SCHEMA = pa.schema([(name, _TEXT) for name in ("id", "prompt", "source", "original_source", "license")])
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
    spool: Path  # for what waits between the steps

    def settle(self, report: dict[str, Any]) -> None:
        """Finish all files, the report last."""
        files = (self.out, self.dropped, self.changed)
        for file in files:
            file.commit()
        names = {file.path.name: file.rows for file in files}
        hashes = {file.path.name: hash_file(file.path) for file in files}
        write_json(self.report, {"kind": KIND, "files": names, "sha256": hashes, **report})


@contextmanager
def open_files(out: Path) -> Iterator[OutFiles]:
    """The files of a preparation, open; what is not settled leaves no trace.

    Raises:
        InputError: where a file stands in the way that no preparation has written.
        LockedError: where another process prepares the same file.
    """
    if out.suffix not in FORMATS:
        raise InputError([Problem("--out", 0, f"{out} does not end in {' or '.join(FORMATS)}")])
    names = (out.name, _beside(out, "dropped"), _beside(out, "changed"))
    report = f"{out.stem}.report.json"
    schemas = (OUT_SCHEMA, DROPPED_SCHEMA, CHANGED_SCHEMA)
    with (
        replaced_files(
            out,
            command="instructions prepare",
            marker=report,
            read_owned=partial(_require_ours, shown=out.parent, names=names, report=report),
        ) as fresh,
        ExitStack() as stack,
    ):
        written, dropped, changed = (
            stack.enter_context(
                TableWriter(fresh / name, schema, file_format=FORMATS[out.suffix], batch_rows=BATCH_ROWS)
            )
            for name, schema in zip(names, schemas, strict=True)
        )
        yield OutFiles(written, dropped, changed, fresh / report, fresh.with_name("spool"))


def _require_ours(folder: Path, *, shown: Path, names: tuple[str, ...], report: str) -> dict[str, str]:
    """Return the SHA-256 of the files that an earlier preparation wrote."""
    path = folder / report
    found = read_json(path) if path.is_file() else None
    ours: dict[str, str] = {}
    if isinstance(found, dict) and found.get("kind") == KIND and isinstance(found.get("sha256"), dict):
        ours = {**found["sha256"], report: hash_file(path)}
    theirs = [name for name in (*names, report) if os.path.lexists(folder / name) and name not in ours]
    if theirs:
        message = "is there already, and not from `instructions prepare`"
        problems = [Problem(str(shown / name), 0, message) for name in theirs]
        raise InputError(problems, hint="choose another --out, or move it away")
    return {name: sha256 for name, sha256 in ours.items() if name in (*names, report)}


def _beside(out: Path, word: str) -> str:
    return f"{out.stem}.{word}{out.suffix}"
