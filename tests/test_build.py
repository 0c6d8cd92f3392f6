"""Built folders: what `datasets` reads in them, that they are never served stale, and what `check` finds."""

import asyncio
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from conftest import DIMENSIONS, MakeRecipe

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.builders import MultifacetedCollection
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan
from multifaceted.store.built_folder import FileFormat
from multifaceted.store.shards import read_batches
from multifaceted.testing import ChatServer

FORMATS: tuple[FileFormat, ...] = ("arrow", "parquet")


@pytest.fixture
def run(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    return generate(make_recipe(server.base_url), tmp_path / "run")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()


def generate(recipe: Path, folder: Path) -> Path:
    asyncio.run(pipeline.generate(compile_plan(recipe), folder, control=RunControl()))
    return folder


@pytest.mark.parametrize("file_format", FORMATS)
def test_load_dataset_opens_it_by_its_bare_name_from_the_folder_above(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: FileFormat
) -> None:
    build_folder(run, tmp_path / "multifaceted_collection", file_format=file_format)
    monkeypatch.chdir(tmp_path)
    rows = datasets.load_dataset("multifaceted_collection", split="train")
    assert rows.num_rows == 30
    assert rows.column_names == [
        "id",
        "main_source",
        "original_source",
        "preference_set",
        "system",
        "prompt",
        "output",
    ]
    assert tuple(entry["dimension"] for entry in rows[0]["preference_set"]) == DIMENSIONS
    origins = datasets.load_dataset("multifaceted_collection", "provenance", split="train")
    assert origins["id"][:] == rows["id"][:]
    assert len(set(rows["id"])) == 30
    streamed = datasets.load_dataset("multifaceted_collection", split="train", streaming=True)
    assert next(iter(streamed)) == rows[0]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_config_with_many_rows_is_cut_into_files(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: FileFormat
) -> None:
    monkeypatch.setattr("multifaceted.building.write.FILE_ROWS", 13)
    manifest = build_folder(run, tmp_path / "out", file_format=file_format)
    for config in manifest.configs:
        paths = {
            path.relative_to(tmp_path / "out").as_posix()
            for path in (tmp_path / "out" / config.name).iterdir()
        }
        assert paths == {file.path for file in config.files}
    files = {file.path: file.rows for file in manifest.configs[0].files}
    names = [f"sft/train-{n:05d}-of-00003.{file_format}" for n in range(3)]
    assert files == dict(zip(names, (13, 13, 4), strict=True))
    assert datasets.load_dataset(str(tmp_path / "out"), split="train").num_rows == 30


def test_both_formats_hold_the_same_rows(run: Path, tmp_path: Path) -> None:
    loaded = []
    for file_format in FORMATS:
        build_folder(run, tmp_path / file_format, file_format=file_format)
        loaded.append(datasets.load_dataset(str(tmp_path / file_format), split="train"))
    assert loaded[0].features == loaded[1].features
    assert loaded[0].to_list() == loaded[1].to_list()


def test_a_rebuilt_folder_is_never_served_from_the_cache(
    server: ChatServer, make_recipe: MakeRecipe, run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "multifaceted_collection"
    build_folder(run, out)
    before = datasets.load_dataset(str(out), split="train")
    (tmp_path / "r.j2").write_text("{% block user %}Now: {{ instruction }}{% endblock %}")
    generate(make_recipe(server.base_url, stages={"response": {"template": "r.j2"}}), run)
    build_folder(run, out)
    after = datasets.load_dataset(str(out), split="train")
    assert after.num_rows == before.num_rows
    assert not set(after["output"]) & set(before["output"])


def test_two_folders_of_one_name_are_not_mixed_up(
    server: ChatServer, make_recipe: MakeRecipe, run: Path, tmp_path: Path
) -> None:
    other = generate(make_recipe(server.base_url, seed=8), tmp_path / "other_run")
    loaded = []
    for place, source in (("a", run), ("b", other)):
        out = tmp_path / place / "multifaceted_collection"
        build_folder(source, out)
        loaded.append(set(datasets.load_dataset(str(out), split="train")["output"]))
    assert not loaded[0] & loaded[1]


def test_building_twice_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        build_folder(run, tmp_path / name / "multifaceted_collection")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_nothing_of_this_machine_stands_in_the_built_folder(
    run: Path, tmp_path: Path, server: ChatServer
) -> None:
    build_folder(run, tmp_path / "out")
    content = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    for word in (str(tmp_path), f":{server.port}", "127.0.0.1"):
        assert word.encode() not in content


def test_the_card_is_true_to_the_data(run: Path, tmp_path: Path) -> None:
    manifest = build_folder(run, tmp_path / "out")
    card = (tmp_path / "out/README.md").read_text()
    assert "30 planned = 30 here + 0 failed" in card
    assert all(config.digest in card for config in manifest.configs)
    first = datasets.load_dataset(str(tmp_path / "out"), split="train")[0]
    assert f"> {first['output']}" in card
    assert "| s0 | 4 | 12 | not stated |" in card


def test_a_folder_of_somebody_else_is_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(StorageError, match="was not made by"):
        build_folder(run, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_an_unfinished_run_is_refused_and_an_earlier_build_stays(run: Path, tmp_path: Path) -> None:
    build_folder(run, tmp_path / "out")
    before = contents(tmp_path / "out")
    (run / "manifest.json").unlink()
    with pytest.raises(StorageError, match="no finished run"):
        build_folder(run, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_damaged_run_is_refused(run: Path, tmp_path: Path) -> None:
    flip_byte(run / "shards/00001/rows.arrow")
    with pytest.raises(StorageError, match="00001"):
        build_folder(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "00001" in check_folder(run)[0]


@pytest.mark.parametrize("file_format", FORMATS)
def test_check_passes_a_sound_folder_and_finds_a_flipped_byte(
    run: Path, tmp_path: Path, file_format: FileFormat
) -> None:
    build_folder(run, tmp_path / "out", file_format=file_format)
    assert check_folder(tmp_path / "out") == []
    assert check_folder(run) == []
    flip_byte(tmp_path / f"out/sft/train-00000-of-00001.{file_format}")
    assert any("SHA-256" in fault for fault in check_folder(tmp_path / "out"))


def flip_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_check_finds_a_row_that_was_cut_off(run: Path, tmp_path: Path) -> None:
    build_folder(run, tmp_path / "out")
    file = tmp_path / "out/sft/train-00000-of-00001.arrow"
    cut = pa.Table.from_batches(read_batches(file)).slice(0, 29)
    with pa.OSFile(str(tmp_path / "cut"), "wb") as sink, pa.ipc.new_stream(sink, cut.schema) as writer:
        writer.write_table(cut)
    (tmp_path / "cut").replace(file)
    faults = check_folder(tmp_path / "out")
    assert any("holds 29 rows, the manifest says 30" in fault for fault in faults)


def test_check_lists_every_fault(run: Path, tmp_path: Path) -> None:
    build_folder(run, tmp_path / "out")
    (tmp_path / "out/sft/train-00000-of-00001.arrow").unlink()
    flip_byte(tmp_path / "out/provenance/train-00000-of-00001.arrow")
    (tmp_path / "out/sft/stray.arrow").write_bytes(b"")
    faults = " ".join(check_folder(tmp_path / "out"))
    assert "is missing" in faults
    assert "SHA-256" in faults
    assert "stray.arrow is not in the manifest" in faults


def test_check_finds_a_card_that_is_not_of_this_data(run: Path, tmp_path: Path) -> None:
    manifest = build_folder(run, tmp_path / "out")
    card = tmp_path / "out/README.md"
    text = card.read_text().replace(manifest.configs[0].digest, "0" * 16)
    card.write_text(text.replace("num_examples: 30", "num_examples: 31"))
    faults = " ".join(check_folder(tmp_path / "out"))
    assert "the content digest of config 'sft'" in faults
    assert "the rows of config 'provenance'" in faults
    card.unlink()
    assert any("missing" in fault for fault in check_folder(tmp_path / "out"))


def test_check_says_what_a_folder_is_not(tmp_path: Path) -> None:
    assert "neither a built folder nor a finished run" in check_folder(tmp_path)[0]


@pytest.mark.parametrize("config", ["sft", "provenance"])
def test_the_builder_reads_a_run_a_built_folder_and_never_old_rows(
    server: ChatServer, make_recipe: MakeRecipe, run: Path, tmp_path: Path, config: str
) -> None:
    build_folder(run, tmp_path / "out", file_format="parquet")

    def load(folder: Path) -> datasets.Dataset:
        builder = MultifacetedCollection(config, data_dir=folder, cache_dir=str(tmp_path / "cache"))
        builder.download_and_prepare()
        return builder.as_dataset(split="train")

    assert load(run).to_list() == load(tmp_path / "out").to_list()
    generate(make_recipe(server.base_url, count=12), run)
    assert load(run).num_rows == 36


def test_the_builder_refuses_an_unfinished_run(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"kind": "other"}))
    with pytest.raises(StorageError):
        MultifacetedCollection("sft", data_dir=tmp_path)
