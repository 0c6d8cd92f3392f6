"""The batches of a customer on disk: what was asked for in each, and what has become of it.

RUN/batches/
├── lock                     held by the process that looks after them
├── 0001.json                state and failures of one batch, renewed at each step
├── 0001.input.jsonl         the requests as they are uploaded; gone once the results are in the journals
├── 0001.index.jsonl         for each of them the row and the key it belongs to; gone as well
├── 0001.results-0.jsonl     what came back; gone as well
└── 0001.unmatched.jsonl     lines of it that belong to no request; kept
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError

from multifaceted.errors import FailureKind, StorageError
from multifaceted.store.atomic import (
    held_folder,
    read_json,
    settle_file,
    sync_file,
    translate_os_errors,
    write_json,
)
from multifaceted.strictmodel import StrictModel

UNMATCHED = "unmatched"


class BatchFailure(NamedTuple):
    """Why a request of a batch got no reply."""

    kind: FailureKind
    message: str
    retryable: bool


class BatchRecord(StrictModel):
    """One batch. Its state is written before the step that it names, and after it."""

    number: int
    # written → submitting → submitted → harvested → settled: the run's failures hold what failed in it.
    # A refused one brought nothing, and is remembered for people to look at.
    state: Literal["written", "submitting", "submitted", "refused", "harvested", "settled"] = "written"
    model: str
    base_url: str
    requests: int
    expected_usd: float  # 0 where the price is unknown
    file_id: str = ""
    tag: str = ""  # by which it is found again at the endpoint, where the answer to its creation was lost
    batch_id: str = ""
    waits_for: str = (
        ""  # what is wrong with its results so far, where the last start gave up waiting for them
    )
    failed: dict[str, BatchFailure] = Field(default_factory=dict)  # by request key
    unmatched: int = 0  # lines of its results that belong to none of its requests, or came twice

    @property
    def at_work(self) -> bool:
        """Return whether the endpoint has it, or may have it."""
        return self.state in ("submitting", "submitted")

    @property
    def queue(self) -> tuple[str, str]:
        """Model and endpoint: batches that have these in common share limits."""
        return self.model, self.base_url


class IndexEntry(NamedTuple):
    """Which request a line of the input is."""

    custom_id: str
    group: str  # whose journal takes the reply, such as a shard
    label: str
    row_id: str
    key: str
    max_tokens: int | None
    characters: int  # of its messages
    offset: int  # of its line in the input


class BatchFolder:
    """Paths and small files of the batches below a folder. Whoever changes them holds the lock."""

    def __init__(self, path: Path) -> None:
        self.path = path / "batches"
        self._records: dict[int, BatchRecord] | None = None

    def lock(self) -> AbstractContextManager[None]:
        """Look after the batches alone.

        Raises:
            LockedError: where another process does.
        """
        busy = f"another process looks after the batches of {self.path}"
        hint = "wait until it is done, or stop it with Ctrl-C: the batches themselves go on"
        return held_folder(self.path, busy=busy, hint=hint)

    def file(self, number: int, part: str) -> Path:
        """One of a batch's files: `input`, `index` or `results-0`."""
        return self.path / f"{number:04d}.{part}.jsonl"

    def read_records(self) -> list[BatchRecord]:
        """Return all batches so far, in order.

        Raises:
            StorageError: where one is damaged.
        """
        if self._records is None:
            found = map(_read_record, self.path.glob("[0-9]*.json"))
            self._records = {record.number: record for record in found}
        return [self._records[number] for number in sorted(self._records)]

    def record_file(self, number: int) -> Path:
        """Return where it stands what is known of a batch."""
        return self.path / f"{number:04d}.json"

    def write_record(self, record: BatchRecord) -> BatchRecord:
        """Keep what is known of a batch."""
        write_json(self.record_file(record.number), record.model_dump())
        if self._records is not None:
            self._records[record.number] = record
        return record

    def read_index(self, number: int) -> dict[str, IndexEntry]:
        """Return the requests of a batch by the custom id of their lines.

        Raises:
            StorageError: where they cannot be read.
        """
        file = self.file(number, "index")
        try:
            with file.open(encoding="utf-8") as lines:
                entries = (IndexEntry(*json.loads(line)) for line in lines)
                return {entry.custom_id: entry for entry in entries}
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"{file} is damaged: {error}") from error

    def read_body(self, number: int, offset: int) -> dict[str, Any]:
        """Return the body of a request as it was uploaded."""
        with self.file(number, "input").open("rb") as file:
            file.seek(offset)
            body: dict[str, Any] = json.loads(file.readline())["body"]
            return body

    def tidy(self) -> None:
        """Forget what was never submitted, and remove what a process that was killed left behind."""
        records = self.read_records()
        for record in records:
            if record.state == "written":
                self.discard(record)
        keep = {f"{record.number:04d}" for record in records if record.at_work}
        for file in list(self.path.iterdir()):
            number, _, part = file.name.partition(".")
            is_of_none = ".jsonl" in file.name and number not in keep and part != f"{UNMATCHED}.jsonl"
            if is_of_none or file.suffix == ".tmp":
                file.unlink()

    def settle(self) -> None:
        """What failed in batches stands in the run's failures by now, and may be asked again."""
        for record in self.read_records():
            if record.state == "harvested":
                self.write_record(record.model_copy(update={"state": "settled"}))

    def refuse(self, record: BatchRecord) -> None:
        """Remember that a batch was refused as a whole: its requests are still missing."""
        self.write_record(record.model_copy(update={"state": "refused", "waits_for": ""}))
        self.remove_files(record.number)

    def discard(self, record: BatchRecord) -> None:
        """Forget a batch that was never submitted."""
        self.remove_files(record.number)
        self.record_file(record.number).unlink()
        if self._records is not None:
            self._records.pop(record.number)

    def remove_files(self, number: int) -> None:
        """Remove what is of no use once the results are in the journals."""
        for file in self.path.glob(f"{number:04d}.*.jsonl*"):
            if file != self.file(number, UNMATCHED):
                file.unlink()

    @contextmanager
    def open_unmatched(self, number: int) -> Iterator[IO[bytes]]:
        """A file for lines of results that belong to no request; it is there once it is kept."""
        file = self._unmatched_part(number)
        with translate_os_errors(file), file.open("wb") as opened:
            yield opened

    def keep_unmatched(self, number: int) -> Path:
        """Keep what was written there; gives its place."""
        file = self.file(number, UNMATCHED)
        with translate_os_errors(file):
            settle_file(self._unmatched_part(number), file)
        return file

    def _unmatched_part(self, number: int) -> Path:
        file = self.file(number, UNMATCHED)
        return file.with_name(f"{file.name}.tmp")


def _read_record(file: Path) -> BatchRecord:
    try:
        return BatchRecord.model_validate(read_json(file))
    except ValidationError as error:
        raise StorageError(f"{file} is damaged, or was written by another version: {error}") from error


class BatchWriter:
    """Writes the input of one batch, line by line, with its index."""

    def __init__(self, folder: BatchFolder, number: int) -> None:
        self.number = number
        self.requests = self.bytes = 0
        self.expected_usd = 0.0
        self._paths = (folder.file(number, "input"), folder.file(number, "index"))
        with translate_os_errors(folder.path):
            self._input, self._index = (path.open("wb") for path in self._paths)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._input.close()
        self._index.close()
        if kind is not None:
            for path in self._paths:
                path.unlink(missing_ok=True)

    def add(self, line: bytes, entry: IndexEntry, *, expected_usd: float) -> None:
        """Append a request."""
        with translate_os_errors(self._paths[0]):
            self._input.write(line)
            placed = entry._replace(offset=self.bytes)
            self._index.write(json.dumps(placed, ensure_ascii=True).encode() + b"\n")
        self.requests += 1
        self.bytes += len(line)
        self.expected_usd += expected_usd

    def finish(self) -> None:
        """Make both files durable."""
        with translate_os_errors(self._paths[0]):
            self._input.close()
            self._index.close()
            for path in self._paths:
                sync_file(path)
