from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import BaseModel

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.records import Row
from multifaceted.store.record_batches import BATCH_ROWS
from multifaceted.store.schema import arrow_schema
from multifaceted.store.shards import create_shard, read_batches, verify_file


class Entry(BaseModel):
    name: str
    score: float


class Example(BaseModel):
    id: str
    count: int
    entries: list[Entry]
    best: Entry


def example(n: int) -> Example:
    entry = Entry(name=f"ｎ{n}", score=n / 2)
    return Example(id=f"e{n}", count=n, entries=[entry] * (n % 3), best=entry)


def write(path: Path, count: int) -> None:
    with create_shard(path, Example) as writer:
        for n in range(count):
            writer.add(**example(n).model_dump())
        writer.commit()


@pytest.mark.parametrize("count", [0, 1, BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS * 2 + 1])
def test_rows_come_back_as_they_were_written(tmp_path: Path, count: int) -> None:
    write(tmp_path / "s.arrow", count)
    rows = [row for batch in read_batches(tmp_path / "s.arrow") for row in batch.to_pylist()]
    assert rows == [example(n).model_dump() for n in range(count)]


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.arrow", 700)
    write(tmp_path / "b.arrow", 700)
    assert hash_file(tmp_path / "a.arrow") == hash_file(tmp_path / "b.arrow")


def test_without_commit_an_earlier_file_stays_and_nothing_else_is_left(tmp_path: Path) -> None:
    write(tmp_path / "s.arrow", 3)
    before = hash_file(tmp_path / "s.arrow")
    with create_shard(tmp_path / "s.arrow", Example) as writer:
        writer.add(**example(1).model_dump())
    assert hash_file(tmp_path / "s.arrow") == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.arrow"]


def test_every_batch_has_the_schema_of_the_model_and_no_metadata() -> None:
    schema = arrow_schema(Example)
    entry = pa.struct([("name", pa.string()), ("score", pa.float64())])
    assert schema == pa.schema(
        [("id", pa.string()), ("count", pa.int64()), ("entries", pa.list_(entry)), ("best", entry)]
    )
    assert schema.metadata is None


def test_the_rows_of_a_run_have_a_schema_without_null_types() -> None:
    assert not any(pa.types.is_null(field.type) for field in arrow_schema(Row))


def test_a_field_without_an_arrow_type_is_refused() -> None:
    class Wrong(BaseModel):
        value: dict[str, str]

    with pytest.raises(TypeError, match="no Arrow type"):
        arrow_schema(Wrong)


def test_a_shard_cut_at_a_batch_reads_well_and_is_found_out_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "s.arrow"
    write(path, BATCH_ROWS * 2)
    whole, size = hash_file(path), path.stat().st_size
    cut = next(n for n in range(size - 8, 0, -8) if _readable(path.read_bytes()[:n], tmp_path / "cut.arrow"))
    path.write_bytes(path.read_bytes()[:cut])
    assert sum(batch.num_rows for batch in read_batches(path)) < BATCH_ROWS * 2
    assert "SHA-256" in verify_file(path, whole)


def _readable(content: bytes, path: Path) -> bool:
    path.write_bytes(content)
    try:
        rows: int = sum(batch.num_rows for batch in read_batches(path))
    except StorageError:
        return False
    return 0 < rows < BATCH_ROWS * 2


def test_text_that_is_not_utf8_is_found_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.arrow"
    write(path, 3)
    path.write_bytes(path.read_bytes().replace(b"e0", b"\xff\xfe", 1))
    with pytest.raises(StorageError):
        list(read_batches(path))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert verify_file(tmp_path / "none.arrow", "") == "is missing"
