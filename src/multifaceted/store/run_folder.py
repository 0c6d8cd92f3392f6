"""The run folder: where everything of a run lies, and what is finished of it.

RUN/
├── run.json                 what this run was asked to make
├── manifest.json            written last: all shards are finished
├── inputs/                  of a recipe made in Python: recipe, instructions and taxonomy, as files
└── shards/00000/
    ├── lock                 held by the process that works on this shard
    ├── journal.sqlite       every raw reply
    ├── open.jsonl           what rows came to so far; gone once the shard is finished
    ├── rows.arrow           the finished rows, once all are
    ├── failures.jsonl       one line for each failed row, the same
    └── shard.json           written last: this shard is finished
"""

import json
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError

from multifaceted.errors import StorageError
from multifaceted.ids import json_line
from multifaceted.records import Failure
from multifaceted.store.atomic import held_folder, read_json, require_file, write_json, write_text
from multifaceted.store.shards import verify_file
from multifaceted.strictmodel import StrictModel

MANIFEST = "manifest.json"
MENDED = "run `multifaceted generate` again: it restores what can be, and asks for nothing that is on disk"


class ShardSummary(StrictModel):
    """What a finished shard says of itself, in `shard.json` and in the manifest; or an open one so far."""

    name: str
    fingerprint: str
    planned: int
    ok: int
    failed: int
    retryable: int  # failed rows that may succeed by running again
    failures: dict[str, int]  # kind → rows
    sha256: str  # of rows.arrow, or of the rows so far


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def shard(self, name: str) -> Path:
        """Return the folder of one shard."""
        return self.path / "shards" / name

    def rows_file(self, name: str) -> Path:
        """Return the Arrow file of one shard."""
        return self.shard(name) / "rows.arrow"

    def journal_file(self, name: str) -> Path:
        """Return the journal of one shard."""
        return self.shard(name) / "journal.sqlite"

    def list_journals(self) -> list[Path]:
        """Return the journals of all shards that there ever were, in order."""
        return sorted(self.path.glob("shards/*/journal.sqlite"))

    def failures_file(self, name: str) -> Path:
        """Return the failure records of one shard."""
        return self.shard(name) / "failures.jsonl"

    def open_file(self, name: str) -> Path:
        """Return what rows of one shard came to before it was finished."""
        return self.shard(name) / "open.jsonl"

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold one shard.

        Raises:
            LockedError: where another process holds it.
        """
        busy = f"another process works on shard {name} of {self.path}"
        hint = "wait until it is done, or stop it with Ctrl-C: its state is saved"
        return held_folder(self.shard(name), busy=busy, hint=hint)

    def finished(self, name: str) -> ShardSummary | None:
        """Return the summary of a shard that is finished, or None."""
        path = self.shard(name) / "shard.json"
        data = read_json(path)
        try:
            return None if data is None else ShardSummary.model_validate(data)
        except ValidationError as error:
            fault = error.errors()[0]
            raise StorageError(f"{path} is damaged: {fault['loc']}: {fault['msg']}", hint=MENDED) from error

    def reopen(self, name: str) -> None:
        """Take the marks that say whole from the shard and the run: files are about to change."""
        self.reopen_run()
        (self.shard(name) / "shard.json").unlink(missing_ok=True)

    def reopen_run(self) -> None:
        """Take the mark that says whole from the run."""
        (self.path / MANIFEST).unlink(missing_ok=True)

    def finish(self, summary: ShardSummary) -> None:
        """Mark a shard as whole; its files are written by now."""
        write_json(self.shard(summary.name) / "shard.json", summary.model_dump())

    def write_failures(self, name: str, failures: list[Failure]) -> None:
        """Keep the failure records of a shard, one JSON line each."""
        write_text(self.failures_file(name), "".join(json_line(asdict(failure)) for failure in failures))

    def read_failures(self, name: str) -> list[Failure]:
        """Return the failure records of a shard, in the order of its rows.

        Raises:
            StorageError: where they are damaged.
        """
        file = self.failures_file(name)
        if not require_file(file):
            return []
        try:
            # Not splitlines: endpoints' words may hold its more exotic line ends.
            lines = file.read_text(encoding="utf-8").split("\n")
            return [Failure(**json.loads(line)) for line in lines if line]
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"{file} is damaged: {error}") from error

    def verify(self, summaries: list[ShardSummary]) -> list[str]:
        """Return what is wrong with the run's shards; empty where nothing is."""
        faults = ((s.name, verify_file(self.rows_file(s.name), s.sha256)) for s in summaries)
        return [f"{self.rows_file(name)} {fault}" for name, fault in faults if fault]
