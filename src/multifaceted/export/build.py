"""From a whole run to the published shards of every config: `write_configs(files, choice, configs, out, …)`.

The folder then holds:

    sft/train-00000-of-00002.arrow
    rm/test-00000-of-00001.arrow
    provenance/train-00000-of-00002.arrow
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from multifaceted.export.choice import Choice
from multifaceted.export.config import PublishedConfig
from multifaceted.ids import hash_file
from multifaceted.store.atomic import sync_file
from multifaceted.store.built_folder import BuiltConfig, BuiltFile, FileFormat
from multifaceted.store.shards import read_batches

FILE_ROWS = 50_000  # about 300 MB of the original's rows: below the 500 MB the Hub advises
BATCH_ROWS = 1_000
ROW_GROUP_ROWS = 5_000  # about 30 MB; the Hub's viewer wants less than 300 MB to be read for a page


class _Part(NamedTuple):
    """A file that has not got its last name."""

    path: Path
    rows: int
    memory: int


def write_configs(
    files: list[Path], choice: Choice, configs: Iterable[PublishedConfig], out: Path, file_format: FileFormat
) -> list[BuiltConfig]:
    """Write the shards of every config below `out`; a split or config without rows is left out.

    Args:
        files: the run's shards, in order.
        choice: which rows go into which set.
        configs: what to publish.
        out: an empty folder.
        file_format: Arrow IPC streams, or Parquet as the Hub likes it.
    """
    written = []
    for config in configs:
        found = [
            file
            for split in config.splits
            for file in _write_split(config, split, files, choice, out=out, file_format=file_format)
        ]
        if found:
            written.append(BuiltConfig(name=config.name, files=found))
    return written


def read_run_rows(files: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of a run, in order."""
    return (batch for file in files for batch in read_batches(file))


def _write_split(
    config: PublishedConfig,
    split: str,
    files: list[Path],
    choice: Choice,
    *,
    out: Path,
    file_format: FileFormat,
) -> list[BuiltFile]:
    folder = out / config.name
    folder.mkdir(parents=True, exist_ok=True)
    size = BATCH_ROWS if file_format == "arrow" else ROW_GROUP_ROWS
    batches = config.derive(read_run_rows(files), split, choice)
    parts: list[_Part] = []
    for tables in _cut(_rebatch(batches, size), FILE_ROWS // size):
        path = folder / f"{split}-{len(parts):05d}"  # how many there will be is known at the end
        parts.append(_write_file(path, config.schema, tables, file_format))
    if not any(folder.iterdir()):
        folder.rmdir()
    return [
        _name_file(part, f"{part.path.name}-of-{len(parts):05d}.{file_format}", split, out) for part in parts
    ]


def _name_file(part: _Part, name: str, split: str, out: Path) -> BuiltFile:
    path = part.path.rename(part.path.with_name(name))
    sync_file(path)
    return BuiltFile(
        split=split,
        path=path.relative_to(out).as_posix(),
        rows=part.rows,
        bytes=path.stat().st_size,
        memory=part.memory,
        sha256=hash_file(path),
    )


def _write_file(path: Path, schema: pa.Schema, tables: Iterable[pa.Table], file_format: FileFormat) -> _Part:
    rows = memory = 0
    with ExitStack() as stack:
        if file_format == "arrow":
            sink = stack.enter_context(pa.OSFile(str(path), "wb"))
            writer = stack.enter_context(pa.ipc.new_stream(sink, schema))
        else:
            # Content-defined chunking lets the Hub store only what changed between two versions.
            writer = stack.enter_context(
                pq.ParquetWriter(
                    path, schema, compression="zstd", write_page_index=True, use_content_defined_chunking=True
                )
            )
        for table in tables:
            writer.write_table(table, table.num_rows)
            rows += table.num_rows
            memory += table.nbytes
    return _Part(path, rows, memory)


def _rebatch(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size`, the last one smaller: file layout must not depend on the shards'."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        while rows >= size:
            table = pa.Table.from_batches(held)
            yield table.slice(0, size).combine_chunks()
            held, rows = table.slice(size).to_batches(), rows - size
    if rows:
        yield pa.Table.from_batches(held).combine_chunks()


def _cut(tables: Iterator[pa.Table], length: int) -> Iterator[Iterator[pa.Table]]:
    """Runs of at most `length` tables, none of them empty; each run must be used up before the next."""
    for first in tables:
        yield _run_from(first, tables, length)


def _run_from(first: pa.Table, tables: Iterator[pa.Table], length: int) -> Iterator[pa.Table]:
    yield first
    for _ in range(length - 1):
        table = next(tables, None)
        if table is None:
            return
        yield table
