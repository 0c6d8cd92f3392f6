"""Croissant metadata: what it says is true of the folder, and `check` tells when it is not.

That `mlcroissant` accepts it and reads rows by it is tested in `compat/test_croissant_records.py`.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import MakeRecipe

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.check import check_folder
from multifaceted.building.configs import CONFIGS
from multifaceted.building.croissant import find_croissant_faults, render_croissant
from multifaceted.building.folder import build_folder
from multifaceted.ids import hash_file, hash_text
from multifaceted.planning import compile_plan
from multifaceted.store.built_folder import BuiltConfig, BuiltFile, BuiltManifest
from multifaceted.store.manifest import RunData
from multifaceted.testing import ChatServer

COLLECTION = CONFIGS["collection"]
HASH = "0" * 64


@pytest.fixture
def built(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    recipe = make_recipe(server.base_url, count=20, license="mit", language=["en"])
    asyncio.run(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=RunControl()))
    build_folder(tmp_path / "run", tmp_path / "out", file_format="parquet")
    return tmp_path / "out"


HASH = "0" * 64


def parts_of(folder: Path, key: str, kind: str) -> dict[str, dict[str, Any]]:
    data = json.loads((folder / "croissant.json").read_text())
    return {part["@id"]: part for part in data[key] if part["@type"] == kind}


def leaves_of(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for inner in field.get("subField", []):
        yield from leaves_of(inner)
    if "subField" not in field:
        yield field


def test_every_shard_is_listed_with_its_size_and_hash(built: Path) -> None:
    listed = parts_of(built, "distribution", "cr:FileObject")
    assert set(listed) == {path.relative_to(built).as_posix() for path in built.rglob("*.parquet")}
    for name, file in listed.items():
        assert file["sha256"] == hash_file(built / name)
        assert file["contentSize"] == f"{(built / name).stat().st_size} B"


def test_every_config_has_its_fields_and_its_splits(built: Path) -> None:
    record_sets = parts_of(built, "recordSet", "cr:RecordSet")
    for config in COLLECTION.values():
        fields = record_sets[config.name]["field"]
        names = [field["@id"].removeprefix(f"{config.name}/") for field in fields]
        assert names == [*config.schema.names, "split"]
        for leaf in (leaf for field in fields[:-1] for leaf in leaves_of(field)):
            column, _, _ = leaf["@id"].removeprefix(f"{config.name}/").partition("/")
            assert leaf["source"]["extract"] == {"column": column}
            assert leaf["description"]
        splits = record_sets[f"{config.name}_splits"]
        assert [list(entry.values()) for entry in splits["data"]] == [[name] for name in config.splits]
    assert {s.partition("_splits")[0] for s in record_sets} == set(COLLECTION)


def test_field_types_are_those_of_the_files(built: Path) -> None:
    record_sets = parts_of(built, "recordSet", "cr:RecordSet")
    for config in COLLECTION.values():
        schema = pq.read_schema(built / config.name / "train-00000-of-00001.parquet")
        for field, column in zip(record_sets[config.name]["field"], schema, strict=False):
            assert field.get("isArray", False) == pa.types.is_list(column.type)
            inner = column.type.value_type if pa.types.is_list(column.type) else column.type
            if pa.types.is_struct(inner):
                assert [sub["@id"].split("/")[-1] for sub in field["subField"]] == [f.name for f in inner]
            else:
                assert field["dataType"] == {pa.string(): "sc:Text", pa.int64(): "cr:Int64"}[inner]


def test_it_says_license_language_and_what_to_cite(built: Path) -> None:
    data = json.loads((built / "croissant.json").read_text())
    assert (data["license"], data["inLanguage"]) == ("mit", ["en"])
    assert "2405.17977" in data["citeAs"]
    assert data["citeAs"] in (built / "README.md").read_text()


def test_it_is_hashed_in_the_manifest_and_equal_for_equal_runs(built: Path, tmp_path: Path) -> None:
    manifest = build_folder(tmp_path / "run", tmp_path / "again", file_format="parquet")
    text = (built / "croissant.json").read_text()
    assert manifest.metadata["croissant.json"] == hash_text(text)
    assert (tmp_path / "again/croissant.json").read_text() == text
    assert check_folder(built) == []


def test_arrow_folders_have_none_because_nothing_could_read_them_by_it(built: Path, tmp_path: Path) -> None:
    manifest = build_folder(tmp_path / "run", tmp_path / "arrow")
    assert not (tmp_path / "arrow/croissant.json").exists()
    assert list(manifest.metadata) == ["README.md"]


def test_a_file_that_was_changed_is_found_by_its_hash(built: Path) -> None:
    path = built / "croissant.json"
    path.write_text(path.read_text().replace('"mit"', '"apache-2.0"'))
    assert any("croissant.json" in fault and "SHA-256" in fault for fault in check_folder(built))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('"sha256": "', '"sha256": "0'), "distribution says of 'dpo/train-00000-of-00001.parquet'"),
        (('"isArray": true', '"isArray": false'), "recordSet says of 'sft'"),
        (('"cr:Int64"', '"sc:Text"'), "recordSet says of 'provenance'"),
        (('"@id": "rm"', '"@id": "reward"'), "recordSet says of 'reward'"),
        (("rm/test-*.parquet", "rm/*.parquet"), "distribution says of 'files_of_rm'"),
        (("{\n", "[\n"), "is not JSON"),
    ],
)
def test_a_description_that_is_not_true_is_found_out(
    built: Path, tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    manifest = build_folder(tmp_path / "run", tmp_path / "again", file_format="parquet")
    text = render_croissant(manifest)
    assert list(find_croissant_faults(text, manifest)) == []
    assert change[0] in text
    assert fault in " ".join(find_croissant_faults(text.replace(*change), manifest))
    words = text.replace("the instruction, as its source has it", "other words")
    assert list(find_croissant_faults(words, manifest)) == []


def test_split_names_are_found_in_paths_and_in_themselves() -> None:
    config = BuiltConfig(
        name="rm",
        files=[
            BuiltFile(
                split=split, path=f"rm/{split}-00000-of-00001.parquet", rows=1, bytes=1, sha256="0" * 64
            )
            for split in COLLECTION["rm"].splits
        ],
    )
    counts = {"seed": 1, "variants": 1, "instructions": 1, "planned": 1, "instructions_per_shard": 1}
    names = ("stages", "models", "sampling", "taxonomy", "templates", "shards")
    maps: dict[str, Any] = {key: {} for key in names}
    run = RunData.model_validate({"name": "c", "recipe": "r", **counts, **maps})
    manifest = BuiltManifest(name="c", file_format="parquet", configs=[config], run=run)
    data = json.loads(render_croissant(manifest))
    pattern = re.compile(data["recordSet"][1]["field"][-1]["source"]["transform"]["regex"])
    for path in ("rm/test-00000-of-00001.parquet", "/some/where/rm/test-00000-of-00001.parquet", "test"):
        found = pattern.match(path)
        assert found is not None
        assert found[1] == "test"
    assert pattern.match("dpo/test-00000-of-00001.parquet") is None
