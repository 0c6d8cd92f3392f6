"""From a finished run to the published shards of every config: `write_configs(source, out, file_format)`.

The folder then holds:

    sft/train-00000-of-00002.arrow
    rm/test-00000-of-00001.arrow
    provenance/train-00000-of-00002.arrow
"""

from itertools import groupby
from operator import itemgetter
from pathlib import Path

from multifaceted.building.config import PublishedConfig
from multifaceted.building.source import RowSource
from multifaceted.ids import hash_file
from multifaceted.store.atomic import settle_file
from multifaceted.store.built_folder import BuiltConfig, BuiltFile, FileFormat
from multifaceted.store.record_batches import cut_batches
from multifaceted.store.table_file import TableFormat, TableWriter

FILE_ROWS = 50_000  # about 300 MB of the original's rows: below the 500 MB the Hub advises
LAYOUTS: dict[FileFormat, tuple[TableFormat, int]] = {  # how rows are written, and rows of a batch
    "arrow": ("arrow_stream", 1_000),
    "parquet": ("hub_parquet", 5_000),  # about 30 MB; the Hub's viewer wants less than 300 to read for a page
}


def write_configs(source: RowSource, out: Path, file_format: FileFormat) -> list[BuiltConfig]:
    """Write the shards of every config below an empty folder; what has no rows is left out."""
    written = []
    for config in source.configs.values():
        found = [
            file for split in config.splits for file in _write_split(source, config, split, out, file_format)
        ]
        if found:
            written.append(BuiltConfig(name=config.name, files=found))
    return written


def _write_split(
    source: RowSource, config: PublishedConfig, split: str, out: Path, file_format: FileFormat
) -> list[BuiltFile]:
    table_format, batch_rows = LAYOUTS[file_format]
    batches = source.read(config.name, split)
    written: list[TableWriter] = []
    for number, pieces in groupby(cut_batches(batches, FILE_ROWS), key=itemgetter(0)):
        path = out / config.name / f"{split}-{number:05d}"  # how many there will be is known at the end
        with TableWriter(path, config.schema, file_format=table_format, batch_rows=batch_rows) as writer:
            for _, batch in pieces:
                writer.add_batch(batch)
            writer.commit()
        written.append(writer)
    last_part = f"-of-{len(written):05d}.{file_format}"
    return [_name_file(writer, f"{writer.path.name}{last_part}", split, out) for writer in written]


def _name_file(written: TableWriter, name: str, split: str, out: Path) -> BuiltFile:
    path = written.path.with_name(name)
    settle_file(written.path, path)
    return BuiltFile(
        split=split,
        path=path.relative_to(out).as_posix(),
        rows=written.rows,
        bytes=path.stat().st_size,
        memory=written.memory,
        sha256=hash_file(path),
    )
