"""Finished rows of a shard at work: `shards/00000/open.jsonl`, a line for each once it is done.

The first line names the shard's fingerprint, planned rows and schema. `{"position": 7, "row": …}` and
`{"position": 7, "failure": …}` follow in the order in which rows end; of a position the last line counts. The
journal can make all of it again, so the file is never synced, and a line that a crash tore is passed over.
"""

import base64
import errno
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import pyarrow as pa
from pydantic import BaseModel
from pydantic_core import from_json

from multifaceted.records import Failure, Row
from multifaceted.store.atomic import translate_os_errors
from multifaceted.store.run_folder import ShardSummary
from multifaceted.store.schema import arrow_schema


class OpenRowsWriter:
    """Appends what rows came to. The shard's lock must be held.

    Args:
        path: the file; one of another fingerprint is started anew.
        fingerprint: of the shard.
        planned: rows of the shard.
        model: of its rows.
    """

    def __init__(self, path: Path, *, fingerprint: str, planned: int, model: type[BaseModel]) -> None:
        self._path = path
        self._noted: set[int] = set()
        with translate_os_errors(path):
            self._known = _read_known(path, fingerprint)
            if self._known is None:
                path.unlink(missing_ok=True)  # whoever reads the former one reads on
            self._file = path.open("ab", buffering=0)
            if self._known is None:
                schema = base64.b64encode(arrow_schema(model).serialize()).decode("ascii")
                self._append({"fingerprint": fingerprint, "planned": planned, "schema": schema})
            elif not _ends_a_line(path):
                self._write(b"\n")

    def note(self, position: int, made: Row | Failure) -> None:
        """Append one row, or its failure; nothing where the file has the same by now.

        Raises:
            StorageError: where the disk is full.
        """
        if position in self._noted:
            return
        self._noted.add(position)
        what = {"row": made.model_dump()} if isinstance(made, Row) else {"failure": asdict(made)}
        with translate_os_errors(self._path):
            self._append({"position": position, **what}, position)

    def remove(self) -> None:
        """Take the file away: the shard is finished."""
        with suppress(OSError):  # where a reader stands in the way, it is passed over for `shard.json`
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _append(self, value: dict[str, Any], position: int | None = None) -> None:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace") + b"\n"
        known = self._known or {}
        if position is None or known.get(position) != hash(line):
            self._write(line)

    def _write(self, line: bytes) -> None:
        if self._file.write(line) != len(line):  # where the disk is full, it says so only the next time
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@dataclass
class OpenRows:
    """What was done of a shard when this was opened. It can be read on after the shard has closed."""

    fingerprint: str
    planned: int
    schema: pa.Schema
    ids: dict[str, int] = field(default_factory=dict)  # of finished rows → position
    failed: dict[int, Failure] = field(default_factory=dict)  # by position
    _file: BinaryIO | None = None
    _lines: dict[int, tuple[int, int]] = field(default_factory=dict)  # position → offset and bytes of its row

    @property
    def failures(self) -> list[Failure]:
        """Return the failures, in the order of the rows."""
        return [self.failed[position] for position in sorted(self.failed)]

    def sum_up(self, name: str, sha256: str = "") -> ShardSummary:
        """Return the account of the shard as it is; planned is more than ok and failed."""
        return ShardSummary(
            name=name,
            fingerprint=self.fingerprint,
            planned=self.planned,
            ok=len(self._lines),
            failed=len(self.failed),
            retryable=sum(failure.retryable for failure in self.failed.values()),
            failures=dict(sorted(Counter(failure.kind for failure in self.failed.values()).items())),
            sha256=sha256,
        )

    def read_rows(self) -> Iterator[dict[str, Any]]:
        """Return the finished rows in the order of the shard, one in memory at a time."""
        return (self._read(position) for position in sorted(self._lines))

    def find(self, row_id: str) -> dict[str, Any] | None:
        """Return a finished row by its id."""
        position = self.ids.get(row_id)
        return None if position is None else self._read(position)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self, position: int) -> dict[str, Any]:
        assert self._file is not None  # noqa: S101 - what has lines has a file
        offset, length = self._lines[position]
        self._file.seek(offset)
        row: dict[str, Any] = from_json(self._file.read(length))["row"]
        return row

    def take(self, line: "_Line") -> None:
        """Take in a line; it goes before those of its position that came earlier."""
        position, said = line.position, line.value
        if "row" in said:
            self.ids[said["row"]["id"]] = position
            self._lines[position] = line.start, len(line.content)
            self.failed.pop(position, None)
        else:
            self.failed[position] = Failure(**said["failure"])
            if self._lines.pop(position, None) is not None:
                self.ids.pop(said["failure"]["id"], None)


class _Line(NamedTuple):
    start: int  # bytes before it
    content: bytes
    position: int  # of the row in its shard
    value: dict[str, Any]


def open_rows(path: Path, fingerprint: str) -> OpenRows | None:
    """Open the finished rows of a shard; None where there are none of this fingerprint.

    Whoever gets them closes them: `with open_rows(…) as rows`. No lock is taken, nothing is written.

    Raises:
        StorageError: where the file cannot be read.
    """
    with translate_os_errors(path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        try:
            found = _read_head(file, fingerprint)
            if found is not None:
                for line in _read_lines(file):
                    with suppress(TypeError, KeyError):  # what nobody of ours has written
                        found.take(line)
        except BaseException:
            file.close()
            raise
        if found is None:
            file.close()
        return found


def _read_head(file: BinaryIO, fingerprint: str) -> OpenRows | None:
    """Return the first line, where it is complete and of this fingerprint."""
    try:
        head = from_json(file.readline())
        if head["fingerprint"] != fingerprint:
            return None
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(head["schema"])))
        return OpenRows(fingerprint, int(head["planned"]), schema, _file=file)
    except (ValueError, KeyError, TypeError, pa.ArrowException):
        return None


def _read_lines(file: BinaryIO) -> Iterator[_Line]:
    """Yield every whole line behind the first."""
    start = file.tell()
    for content in file:
        with suppress(ValueError, KeyError, TypeError):  # torn
            value = from_json(content)
            yield _Line(start, content, int(value["position"]), value)
        start += len(content)


def _read_known(path: Path, fingerprint: str) -> dict[int, int] | None:
    """Return the hash of the last line of each position; None where the file has to be started anew."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        if _read_head(file, fingerprint) is None:
            return None
        return {line.position: hash(line.content) for line in _read_lines(file)}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
