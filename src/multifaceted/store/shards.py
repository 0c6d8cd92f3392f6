"""Arrow IPC stream shards: `create_shard` takes rows in order, `read_batches` gives them back.

A stream cut at a message boundary reads as a shorter good one, so a shard is only as good as the row
count and SHA-256 that stand beside it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.store.atomic import require_file
from multifaceted.store.record_batches import BATCH_ROWS
from multifaceted.store.schema import arrow_schema
from multifaceted.store.table_file import TableWriter

ModelT = TypeVar("ModelT", bound=BaseModel)


def create_shard(path: Path, model: type[BaseModel]) -> TableWriter:
    """Return a writer for the rows of one shard; they are added in order."""
    return TableWriter(path, arrow_schema(model), file_format="arrow_stream")


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a shard, memory-mapped.

    Raises:
        StorageError: where it is not an Arrow stream, or holds text that is not UTF-8.
    """
    require_file(path)
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def read_rows(path: Path, model: type[ModelT]) -> Iterator[ModelT]:
    """Yield the rows of a shard, one batch in memory at a time."""
    for batch in read_batches(path):
        for row in batch.to_pylist():
            yield model.model_validate(row)


def read_published(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the record batches of a published file, Arrow stream or Parquet.

    Raises:
        StorageError: where it cannot be read.
    """
    if path.suffix != ".parquet":
        yield from read_batches(path)
        return
    require_file(path)
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def verify_file(path: Path, sha256: str) -> str:
    """Return what is wrong with a file that should have this hash; empty where nothing is."""
    if not path.is_file():
        return "is not a file" if os.path.lexists(path) else "is missing"
    return "" if hash_file(path) == sha256 else "is not what was written: its SHA-256 differs"
