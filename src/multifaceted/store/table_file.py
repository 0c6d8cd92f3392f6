"""Files of rows, whole or not at all, and how each format of them is written.

Example:
    with TableWriter(path, schema, file_format="parquet") as writer:
        writer.add(id="q1", prompt="Why?")
        writer.commit()
"""

from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from multifaceted.ids import json_line
from multifaceted.store.atomic import settle_file, temporary_of, translate_os_errors
from multifaceted.store.record_batches import BATCH_ROWS, Rebatcher, rows_to_batch

TableFormat = Literal["arrow_stream", "arrow_file", "parquet", "hub_parquet", "jsonl"]
# Lets the Hub's viewer read a page alone, and the Hub store only what changed between two versions.
HUB_OPTIONS = {"write_page_index": True, "use_content_defined_chunking": True}


class TableWriter:
    """Takes rows one by one or in batches, and writes them in batches of one size.

    Equal rows give equal bytes, in whatever portions they come. `commit` makes the file appear; leaving the
    `with` block without it leaves nothing behind, and an earlier file as it was.

    Args:
        path: the file, in a folder that is made where it is missing.
        schema: of its rows.
        file_format: Arrow IPC stream or file, Parquet with or without what the Hub likes, or JSON lines.
        batch_rows: rows of a record batch, or of a row group.
    """

    def __init__(
        self, path: Path, schema: pa.Schema, *, file_format: TableFormat, batch_rows: int = BATCH_ROWS
    ) -> None:
        self.path = path
        self.rows = 0
        self.memory = 0  # bytes of the written rows as Arrow tables
        self._schema = schema
        self._file_format = file_format
        self._batch_rows = batch_rows
        self._temporary = temporary_of(path)
        self._single: list[dict[str, Any]] = []  # rows that came one by one, not yet in a batch
        self._rebatcher = Rebatcher(schema, batch_rows)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with translate_os_errors(self.path), ExitStack() as stack:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            stack.push(self)  # what fails from here on leaves nothing either
            file = self._open.enter_context(pa.OSFile(str(self._temporary), "wb"))
            self._writer = _open_writer(file, self._schema, self._file_format)
            self._open.enter_context(closing(self._writer))
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a full disk, which whatever ended the block has told
            self._open.close()
        self._temporary.unlink(missing_ok=True)

    def add(self, /, **row: Any) -> None:
        """Append one row; what is not given is null."""
        self._single.append(row)
        self.rows += 1
        if len(self._single) == self._batch_rows:
            self._flush_single()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Append many rows at once."""
        self._flush_single()
        self.rows += batch.num_rows
        self._write(self._rebatcher.add(batch))

    def finish(self) -> Path:
        """Write what is left; gives the temporary file, which is there until the block ends.

        Raises:
            StorageError: where the disk is full.
        """
        self._flush_single()
        self._write(self._rebatcher.flush())
        if not self.rows and self._file_format.startswith("arrow"):  # without a batch it has no schema
            self._write([rows_to_batch([], self._schema)])
        with translate_os_errors(self.path):
            self._open.close()
        return self._temporary

    def commit(self) -> None:
        """Write what is left and make the file appear, durable, under its name.

        Raises:
            StorageError: where the disk is full or the folder cannot be written.
        """
        temporary = self.finish()
        with translate_os_errors(self.path):
            settle_file(temporary, self.path)

    def _flush_single(self) -> None:
        if self._single:
            batch = rows_to_batch(self._single, self._schema)
            self._single.clear()
            self._write(self._rebatcher.add(batch))

    def _write(self, batches: Iterable[pa.RecordBatch]) -> None:
        for batch in batches:
            with translate_os_errors(self.path):
                self._writer.write_batch(batch)
            self.memory += batch.nbytes


class _BatchWriter(Protocol):
    def write_batch(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class _JsonLines:
    """JSON lines by the interface that Arrow's writers have."""

    def __init__(self, file: pa.NativeFile) -> None:
        self._file = file

    def write_batch(self, batch: pa.RecordBatch) -> None:
        self._file.write("".join(map(json_line, batch.to_pylist())).encode())

    def close(self) -> None:
        """Nothing is held."""


def _open_writer(file: pa.NativeFile, schema: pa.Schema, file_format: TableFormat) -> _BatchWriter:
    writer: _BatchWriter
    match file_format:
        case "arrow_stream":
            writer = pa.ipc.new_stream(file, schema)
        case "arrow_file":
            writer = pa.ipc.new_file(file, schema)
        case "parquet":
            writer = pq.ParquetWriter(file, schema, compression="zstd")
        case "hub_parquet":
            writer = pq.ParquetWriter(file, schema, compression="zstd", **HUB_OPTIONS)
        case "jsonl":
            writer = _JsonLines(file)
    return writer
