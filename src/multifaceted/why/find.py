"""Where a row of a run lies, if it is done: `find_row(folder, data, "rainbow-v1").shard`."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from multifaceted.errors import InputError, Problem, StorageError
from multifaceted.records import Failure
from multifaceted.store.manifest import RunData
from multifaceted.store.present import look_at_shard
from multifaceted.store.run_folder import RunFolder, ShardSummary

NEAREST = 3


@dataclass(frozen=True)
class FoundRow:
    """A row's shard, and what became of it there; neither where it is not done."""

    shard: str
    row: dict[str, Any] | None = None
    failure: Failure | None = None
    is_former: bool = False  # the run has not come to it again since its recipe was changed

    @property
    def outcome(self) -> Literal["ok", "failed", "pending"]:
        """Return what became of it."""
        return "ok" if self.row is not None else "failed" if self.failure is not None else "pending"


@dataclass
class Search:
    """What looking through all shards has brought."""

    found: FoundRow | None = None
    unfinished: list[str] = field(default_factory=list)  # shards that may have the row, if it is not done
    known: list[str] = field(default_factory=list)  # ids of the rows that are done

    def refuse(self, folder: RunFolder, row_id: str) -> InputError:
        """Return the error that says that there is no such row, with the nearest ids."""
        near = difflib.get_close_matches(row_id, self.known, n=NEAREST, cutoff=0.5)
        form = "ids are those of instructions and a variant: rainbow-v1"
        hint = f"did you mean {', '.join(near)}?" if near else form
        return InputError([Problem(str(folder.path), 0, f"no row has the id {row_id!r}")], hint=hint)


def find_row(folder: RunFolder, data: RunData, row_id: str) -> Search:
    """Look for a row, finished or failed, in whole and in open shards.

    Raises:
        StorageError: where a shard cannot be read.
    """
    search = Search()
    for name, fingerprint in data.shards.items():
        shard = look_at_shard(folder, name, fingerprint)
        if not isinstance(shard, ShardSummary):
            search.unfinished.append(name)
        if shard is None:
            search.found = _find_in_files(folder, name, row_id, search.known, is_former=True)
        elif isinstance(shard, ShardSummary):
            search.found = _find_in_files(folder, name, row_id, search.known)
        else:
            with shard:
                failures = {failure.id: failure for failure in shard.failures}
                search.known += [*failures, *shard.ids]
                row, failure = shard.find(row_id), failures.get(row_id)
            search.found = FoundRow(name, row, failure) if row or failure else None
        if search.found:
            break
    return search


def _find_in_files(
    folder: RunFolder, name: str, row_id: str, known: list[str], *, is_former: bool = False
) -> FoundRow | None:
    failures = {failure.id: failure for failure in folder.read_failures(name)}
    if row_id in failures:
        return FoundRow(name, failure=failures[row_id], is_former=is_former)
    known += failures
    for batch in _open_batches(folder, name):
        ids = batch.column("id")
        index = pc.index(ids, row_id).as_py()
        if index >= 0:
            return FoundRow(name, row=batch.slice(index, 1).to_pylist()[0], is_former=is_former)
        known += ids.to_pylist()
    return None


def _open_batches(folder: RunFolder, name: str) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a shard as they are: only ids are looked at, so the texts need no validation."""
    path = folder.rows_file(name)
    if not path.exists():
        return
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}", hint="run `multifaceted check` on the run") from error
