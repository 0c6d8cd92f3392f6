"""A run as it is at this moment, whether or not a process works on it: `look_at_run(RunFolder(path))`.

Readers take no lock and write nothing. A shard may close while it is looked at, so it is looked at again.
"""

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.records import Failure
from multifaceted.store.manifest import RunData, read_run
from multifaceted.store.open_rows import OpenRows, open_rows
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.table_file import TableWriter

LOOKS = 2  # at a shard that seems not begun: it may have closed between the two marks


@dataclass(frozen=True)
class PresentRun:
    """What a run was asked to make, and the account of each shard that has a finished row by now."""

    run: RunData  # its summaries are of whole and open shards, in order
    open: list[str]  # names of the open ones
    files: "OpenFiles"  # rows of the open ones, where they were asked for

    @property
    def open_rows(self) -> int:
        """Return how many rows of open shards are finished or failed."""
        return sum(summary.ok + summary.failed for summary in self.run.summaries if summary.name in self.open)

    @property
    def is_whole(self) -> bool:
        """Return whether all shards are finished."""
        return not self.open and len(self.run.summaries) == len(self.run.shards)


@dataclass
class OpenFiles:
    """Rows of open shards as they were at one moment, in Arrow files that go with this object."""

    paths: dict[str, Path] = field(default_factory=dict)  # by shard

    def add(self, name: str, rows: OpenRows) -> str:
        """Copy the rows of a shard; gives the file's SHA-256."""
        if not self.paths:
            folder = Path(tempfile.mkdtemp(prefix="multifaceted-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        else:
            folder = next(iter(self.paths.values())).parent
        path = folder / f"{name}.arrow"
        try:
            with TableWriter(path, rows.schema, file_format="arrow_stream") as writer:
                for row in rows.read_rows():
                    writer.add(**row)
                writer.commit()
        except pa.ArrowException as error:
            raise StorageError(f"shard {name}: its open rows cannot be read: {error}") from error
        self.paths[name] = path
        return hash_file(path)


def look_at_run(folder: RunFolder, *, copy_rows: bool = False) -> PresentRun:
    """Return what is finished of a run by now.

    Args:
        folder: the run folder.
        copy_rows: copy the rows of open shards to files that stay as they are.

    Raises:
        StorageError: where no run was ever started there, or it cannot be read.
    """
    run, files = read_run(folder), OpenFiles()
    summaries, opened = [], []
    for name, shard in look_at_shards(folder, run):
        if isinstance(shard, ShardSummary):
            summaries.append(shard)
            continue
        with shard:
            sha256 = files.add(name, shard) if copy_rows and shard.ids else ""
            summaries.append(shard.sum_up(name, sha256))
            opened.append(name)
    return PresentRun(run.model_copy(update={"summaries": summaries}), opened, files)


def look_at_shards(folder: RunFolder, run: RunData) -> Iterator[tuple[str, ShardSummary | OpenRows]]:
    """Yield the shards that have finished rows, in order; who gets an open one closes it."""
    for name, fingerprint in run.shards.items():
        found = look_at_shard(folder, name, fingerprint)
        if found is not None:
            yield name, found


def look_at_shard(folder: RunFolder, name: str, fingerprint: str) -> ShardSummary | OpenRows | None:
    """Return the summary of a finished shard, the rows of an open one, or None where nothing is done."""
    for _ in range(LOOKS):
        summary = folder.finished(name)
        if summary is not None and summary.fingerprint == fingerprint:
            return summary
        rows = open_rows(folder.open_file(name), fingerprint)
        if rows is not None:
            return rows
    return None


def read_present_failures(folder: RunFolder, run: RunData) -> dict[str, list[Failure]]:
    """Return the failures so far by shard, in the order of the rows.

    Raises:
        StorageError: where they are damaged.
    """
    found = {}
    for name, shard in look_at_shards(folder, run):
        if isinstance(shard, ShardSummary):
            found[name] = folder.read_failures(name)
            continue
        with shard:
            found[name] = shard.failures
    return found
