"""Where a row of a run lies: `find_row(folder, data, "rainbow-v1").shard`."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from multifaceted.errors import InputError, Problem, StorageError
from multifaceted.records import Failure
from multifaceted.store.manifest import RunData
from multifaceted.store.run_folder import RunFolder

NEAREST = 3


@dataclass(frozen=True)
class Place:
    """A row's shard, and what became of it there."""

    shard: str
    row: dict[str, Any] | None = None
    failure: Failure | None = None


def find_row(folder: RunFolder, data: RunData, row_id: str) -> Place:
    """Where a row lies, finished or failed.

    Raises:
        InputError: where no shard has it, with the nearest ids.
    """
    known: list[str] = []
    for name in data.shards:
        failures = {failure.id: failure for failure in folder.read_failures(name)}
        if row_id in failures:
            return Place(name, failure=failures[row_id])
        known += failures
        for batch in _open_batches(folder, name):
            ids = batch.column("id")
            index = pc.index(ids, row_id).as_py()
            if index >= 0:
                return Place(name, row=batch.slice(index, 1).to_pylist()[0])
            known += ids.to_pylist()
    near = difflib.get_close_matches(row_id, known, n=NEAREST, cutoff=0.5)
    hint = (
        f"did you mean {', '.join(near)}?"
        if near
        else "ids are those of instructions and a variant: rainbow-v1"
    )
    raise InputError(
        [Problem(str(folder.path), 0, f"no finished or failed row has the id {row_id!r}")], hint=hint
    )


def _open_batches(folder: RunFolder, name: str) -> Iterator[pa.RecordBatch]:
    """The batches of a shard as they are: only ids are looked at, so the texts need no validation."""
    path = folder.rows_file(name)
    if not path.exists():
        return
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            yield from reader
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}", hint="run `multifaceted check` on the run") from error
