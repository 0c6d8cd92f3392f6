"""Rows of a run and of the folder that is built of it are the same, however they are opened."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import MakeRecipe
from test_generate import run as generate

from multifaceted.building.folder import build_folder
from multifaceted.building.source import RowSource, open_run, open_source
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import StorageError
from multifaceted.testing import ChatServer


@pytest.fixture(params=["collection", "bench"])
def run(request: pytest.FixtureRequest, server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    """A finished run in several shards, with enough pairs for a test split."""
    generate(make_recipe(server.base_url, count=24, kind=request.param, variants=2), tmp_path / "run")
    return tmp_path / "run"


def curate(run: Path) -> None:
    """Drop the rows with the longer system messages."""
    longest = max(len(row["system"]) for row in rows_of(open_run(run)))
    recipe = run.parent / "curate.yaml"
    recipe.write_text(f"filters: {{system_length: {{max_characters: {longest - 1}}}}}", encoding="utf-8")
    assert curate_run(run, load_curation(recipe)).dropped


def rows_of(source: RowSource) -> list[dict[str, Any]]:
    return [row for batch in source.read_rows() for row in batch.to_pylist()]


def published(source: RowSource, config: str, split: str) -> list[dict[str, Any]]:
    return [row for batch in source.read(config, split) for row in batch.to_pylist()]


@pytest.mark.parametrize("file_format", ["arrow", "parquet"])
def test_a_run_and_its_built_folder_give_the_same_rows(run: Path, file_format: Any) -> None:
    curate(run)
    build_folder(run, run.parent / "built", file_format=file_format)
    ours, theirs = open_source(run), open_source(run.parent / "built")
    for config in ours.configs.values():
        for split in config.splits:
            rows = published(ours, config.name, split)
            assert rows == published(theirs, config.name, split)
            assert rows or split == "test"
    names = [name for name in ours.configs["provenance"].schema.names if name in rows_of(theirs)[0]]
    names += ["system", "prompt", "output", "main_source", "original_source", *ours.run.stages]
    shared = [[{name: row[name] for name in names} for row in rows_of(source)] for source in (ours, theirs)]
    assert shared[0] == shared[1]
    assert (ours.choice.rejected, ours.choice.small) == (theirs.choice.rejected, theirs.choice.small)
    assert (ours.run.stages, ours.run.counts) == (theirs.run.stages, theirs.run.counts)
    for name in ("configs", "curation", "left_out", "test"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_curation_can_be_passed_over(run: Path) -> None:
    every = rows_of(open_source(run))
    curate(run)
    kept = open_source(run)
    assert kept.curation is not None
    assert len(rows_of(kept)) == kept.curation.kept < len(every)
    assert rows_of(open_source(run, curated=False)) == every
    assert open_run(run).digest != open_run(run, curated=False).digest


def test_the_files_of_a_split_can_be_read_in_any_order(run: Path) -> None:
    curate(run)
    source = open_run(run)
    for config in source.configs:
        for split, (files, read) in source.splits(config).items():
            assert len(files) > 1
            parts = {file: [row for batch in read(file) for row in batch.to_pylist()] for file in files[::-1]}
            assert [row for file in files for row in parts[file]] == published(source, config, split)


def test_a_run_at_work_gives_what_is_whole_of_it(run: Path) -> None:
    whole = open_source(run, whole=False)
    assert whole.run.counts["pending"] == 0
    (run / "manifest.json").unlink()
    (run / "shards/00000/shard.json").unlink()
    with pytest.raises(StorageError, match="no finished run"):
        open_source(run)
    part = open_source(run, whole=False)
    assert part.run.counts["pending"] > 0
    assert part.run.counts["ok"] == len(rows_of(part)) < len(rows_of(whole))


def test_damage_is_refused_where_checksums_are_compared(run: Path) -> None:
    build_folder(run, run.parent / "built")
    first, *_ = open_source(run.parent / "built").configs
    for folder, file in (
        (run, "shards/00000/rows.arrow"),
        (run.parent / "built", f"{first}/train-00000-of-00001.arrow"),
    ):
        content = bytearray((folder / file).read_bytes())
        content[-1] ^= 1
        (folder / file).write_bytes(content)
        with pytest.raises(StorageError, match="SHA-256"):
            open_source(folder)
        assert open_source(folder, whole=False).run.ok
    assert open_run(run, verified=False).run.ok


def test_rows_that_are_not_those_of_the_provenance_are_refused(run: Path) -> None:
    build_folder(run, run.parent / "built")
    file = run.parent / "built/provenance/train-00000-of-00001.arrow"
    with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
        table = pa.Table.from_pylist(reader.read_all().to_pylist()[::-1], reader.schema)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(StorageError, match="do not have the same ids"):
        rows_of(open_source(run.parent / "built", whole=False))
