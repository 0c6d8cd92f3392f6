"""Arrow IPC stream shards: `ShardWriter` takes rows in order, `read_batches` gives them back.

A stream cut at a message boundary reads as a shorter good one, so a shard is only as good as the row
count and SHA-256 that stand beside it.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.store.atomic import settle_file, temporary_of, translate_os_errors
from multifaceted.store.schema import arrow_schema

ModelT = TypeVar("ModelT", bound=BaseModel)
BATCH_ROWS = 500  # small batches cost size and speed, large ones memory; 100 to 1000 measured alike


class ShardWriter:
    """Writes one shard, in batches of a fixed size, so that equal rows give equal bytes.

    `commit` makes the file appear; leaving the `with` block without it leaves nothing behind.
    """

    def __init__(self, path: Path, model: type[BaseModel]) -> None:
        self.rows = 0
        self._path = path
        self._temporary = temporary_of(path)
        self._schema = arrow_schema(model)
        self._buffer: list[dict[str, Any]] = []
        with translate_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._sink = pa.OSFile(str(self._temporary), "wb")
            self._stream = pa.ipc.new_stream(self._sink, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._temporary.exists():  # not committed
            with suppress(OSError):  # a full disk, which whatever ended the block has told
                self._close()
            self._temporary.unlink()

    def add(self, row: BaseModel) -> None:
        """Append one row."""
        self._buffer.append(row.model_dump())
        self.rows += 1
        if len(self._buffer) == BATCH_ROWS:
            self._flush()

    def commit(self) -> None:
        """Write what is left and make the file appear under its name.

        Raises:
            StorageError: where the disk is full or the folder cannot be written.
        """
        if self._buffer or not self.rows:  # an empty shard has a batch too: without one it has no schema
            self._flush()
        with translate_os_errors(self._path):
            self._close()
            settle_file(self._temporary, self._path)

    def _flush(self) -> None:
        batch = pa.RecordBatch.from_pylist(self._buffer, schema=self._schema)
        with translate_os_errors(self._path):
            self._stream.write_batch(batch)
        self._buffer.clear()

    def _close(self) -> None:
        self._stream.close()
        self._sink.close()


def read_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a shard, memory-mapped.

    Raises:
        StorageError: where it is no Arrow stream, or holds text that is not UTF-8.
    """
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def read_rows(path: Path, model: type[ModelT]) -> Iterator[ModelT]:
    """The rows of a shard, one batch in memory at a time."""
    for batch in read_batches(path):
        for row in batch.to_pylist():
            yield model.model_validate(row)


def read_published(path: Path) -> Iterator[pa.RecordBatch]:
    """The record batches of a published file, Arrow stream or Parquet.

    Raises:
        StorageError: where it cannot be read.
    """
    if path.suffix != ".parquet":
        yield from read_batches(path)
        return
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise StorageError(f"{path}: {error}") from error


def verify_file(path: Path, sha256: str) -> str:
    """What is wrong with a file that should have this hash; empty where nothing is."""
    if not path.is_file():
        return "is missing"
    return "" if hash_file(path) == sha256 else "is not what was written: its SHA-256 differs"
