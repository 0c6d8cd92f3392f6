"""The writer of row files: every format, in whatever portions rows come, and what a broken end leaves."""

import json
from collections.abc import Callable
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from multifaceted.errors import StorageError
from multifaceted.store.atomic import temporary_of
from multifaceted.store.record_batches import BATCH_ROWS, cut_batches, make_batches
from multifaceted.store.schema import arrow_schema
from multifaceted.store.table_file import TableFormat, TableWriter

FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("count", pa.int64()),
        ("good", pa.bool_()),
        ("turns", pa.list_(pa.struct([("role", pa.string()), ("score", pa.float64())]))),
    ]
)
FULL_DISK = Path("/dev/full")

every_format = pytest.mark.parametrize("file_format", FORMATS)


def make_row(n: int) -> dict[str, Any]:
    turns = [{"role": f"ｒ{n}", "score": n / 2 if n % 5 else None}] * (n % 3)
    return {"id": f"q{n}", "count": n, "good": n % 2 == 0 if n % 4 else None, "turns": turns}


def make_batch(first: int, last: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([make_row(n) for n in range(first, last)], schema=SCHEMA)


def write(path: Path, file_format: TableFormat, batch: pa.RecordBatch, *, batch_rows: int = 8) -> None:
    with TableWriter(path, SCHEMA, file_format=file_format, batch_rows=batch_rows) as writer:
        writer.add_batch(batch)
        writer.commit()


def read_stream(path: Path) -> pa.Table:
    return pa.ipc.open_stream(path.read_bytes()).read_all()


def read_file(path: Path) -> pa.Table:
    return pa.ipc.open_file(path.read_bytes()).read_all()


def read_lines(path: Path) -> pa.Table:
    lines = path.read_text(encoding="utf-8").splitlines()
    return pa.Table.from_pylist([json.loads(line) for line in lines], schema=SCHEMA)


READERS: dict[TableFormat, Callable[[Path], pa.Table]] = {
    "arrow_stream": read_stream,
    "arrow_file": read_file,
    "parquet": pq.read_table,
    "hub_parquet": pq.read_table,
    "jsonl": read_lines,
}


@every_format
@pytest.mark.parametrize("count", [0, 1, 7, 8, 17])
def test_rows_come_back_as_they_were_written(tmp_path: Path, file_format: TableFormat, count: int) -> None:
    path = tmp_path / "new" / "t"
    with TableWriter(path, SCHEMA, file_format=file_format, batch_rows=8) as writer:
        for n in range(count):
            writer.add(**make_row(n))
        writer.commit()
    read = READERS[file_format](path)
    assert read.schema == SCHEMA
    assert read.to_pylist() == [make_row(n) for n in range(count)]
    assert writer.rows == count
    assert [file.name for file in path.parent.iterdir()] == ["t"]


@every_format
def test_what_is_not_given_is_null(tmp_path: Path, file_format: TableFormat) -> None:
    with TableWriter(tmp_path / "t", SCHEMA, file_format=file_format) as writer:
        writer.add(count=3)
        writer.commit()
    [row] = READERS[file_format](tmp_path / "t").to_pylist()
    assert row == {"id": None, "count": 3, "good": None, "turns": None}


@every_format
@settings(max_examples=50, deadline=None)
@given(borders=st.lists(st.integers(0, 23), max_size=8), single=st.sets(st.integers(0, 8)))
def test_bytes_do_not_depend_on_the_portions_that_rows_come_in(
    tmp_path_factory: pytest.TempPathFactory, file_format: TableFormat, borders: list[int], single: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("portions")
    edges, rows = [0, *sorted(borders), 23], make_batch(0, 23)
    with TableWriter(folder / "a", SCHEMA, file_format=file_format, batch_rows=5) as writer:
        for number, (first, last) in enumerate(pairwise(edges)):
            if number in single:
                for n in range(first, last):
                    writer.add(**make_row(n))
            else:
                writer.add_batch(rows.slice(first, last - first))
        found = writer.finish().read_bytes()
    with TableWriter(folder / "b", SCHEMA, file_format=file_format, batch_rows=5) as writer:
        for n in range(23):
            writer.add(**make_row(n))
        assert found == writer.finish().read_bytes()


def test_the_memory_of_rows_does_not_depend_on_the_portions_either(tmp_path: Path) -> None:
    rows = [{**make_row(n), "good": n % 2 == 0, "turns": [{"role": "r", "score": 0.5}]} for n in range(23)]
    whole = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    kept = whole.filter(pa.array([True] * 23))  # a filter leaves bit maps behind that mark no null
    memory = set()
    for batch in (whole, kept):
        for size in (1, 4, 5, 11, 23):
            with TableWriter(tmp_path / "t", SCHEMA, file_format="arrow_stream", batch_rows=5) as writer:
                for first in range(0, 23, size):
                    writer.add_batch(batch.slice(first, size))
                writer.finish()
            memory.add(writer.memory)
    assert len(memory) == 1


@pytest.mark.parametrize("file_format", ["parquet", "hub_parquet"])
def test_batches_are_the_row_groups_of_parquet(tmp_path: Path, file_format: TableFormat) -> None:
    write(tmp_path / "t", file_format, make_batch(0, 20))
    found = pq.read_metadata(tmp_path / "t")
    assert [found.row_group(n).num_rows for n in range(found.num_row_groups)] == [8, 8, 4]
    assert found.row_group(0).column(0).compression == "ZSTD"
    assert found.row_group(0).column(0).has_offset_index == (file_format == "hub_parquet")


def test_batches_of_an_arrow_stream_have_one_size(tmp_path: Path) -> None:
    write(tmp_path / "t", "arrow_stream", make_batch(0, 20))
    assert [b.num_rows for b in pa.ipc.open_stream((tmp_path / "t").read_bytes())] == [8, 8, 4]


@every_format
def test_without_commit_an_earlier_file_stays_and_nothing_else_is_left(
    tmp_path: Path, file_format: TableFormat
) -> None:
    (tmp_path / "t").write_text("earlier")
    with TableWriter(tmp_path / "t", SCHEMA, file_format=file_format, batch_rows=2) as writer:
        writer.add_batch(make_batch(0, 5))
        assert writer.finish() == temporary_of(tmp_path / "t")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("t", "earlier")]


@pytest.mark.skipif(not FULL_DISK.exists(), reason="this system has no /dev/full")
@every_format
@pytest.mark.parametrize("rows", [1, 20_000])  # the disk is full at the end, or before
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, file_format: TableFormat, rows: int) -> None:
    path = tmp_path / "t"
    temporary_of(path).symlink_to(FULL_DISK)
    with pytest.raises(StorageError, match=r"t: .*No space left on device"):
        write(path, file_format, make_batch(0, rows))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError), TableWriter(tmp_path / "file" / "t", SCHEMA, file_format="jsonl"):
        pass


@every_format
def test_rows_of_another_schema_are_refused(tmp_path: Path, file_format: TableFormat) -> None:
    with pytest.raises(ValueError, match="Schema"):
        write(tmp_path / "t", file_format, pa.record_batch({"id": ["a", "b"]}))
    assert list(tmp_path.iterdir()) == []


@given(sizes=st.lists(st.integers(0, 20), max_size=8), length=st.integers(1, 12))
def test_cut_batches_hold_the_same_rows_and_each_part_but_the_last_is_full(
    sizes: list[int], length: int
) -> None:
    edges = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    batches = [make_batch(first, last) for first, last in pairwise(edges)]
    pieces = list(cut_batches(batches, length))
    assert [row["count"] for _, piece in pieces for row in piece.to_pylist()] == list(range(edges[-1]))
    parts = {number: sum(p.num_rows for _, p in part) for number, part in groupby(pieces, lambda p: p[0])}
    assert list(parts) == list(range(-(-edges[-1] // length)))
    assert all(rows == length for rows in list(parts.values())[:-1])


def test_validated_rows_become_batches_of_their_models_schema() -> None:
    class Example(BaseModel):
        id: str
        scores: list[float]

    rows = [Example(id=f"e{n}", scores=[n / 2] * (n % 2)) for n in range(BATCH_ROWS + 1)]
    batches = list(make_batches(iter(rows), Example))
    assert [batch.num_rows for batch in batches] == [BATCH_ROWS, 1]
    assert {batch.schema for batch in batches} == {arrow_schema(Example)}
    assert [row for batch in batches for row in batch.to_pylist()] == [row.model_dump() for row in rows]
