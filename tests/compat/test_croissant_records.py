"""The Croissant file through `mlcroissant`, where that is installed: by `make test-compat` it is."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from make_folders import BENCH, NAME, find_folders

mlcroissant = pytest.importorskip("mlcroissant")
pytestmark = pytest.mark.filterwarnings("default")  # its libraries' deprecations are no business of ours


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find_folders(tmp_path_factory.mktemp("compat"))


@pytest.fixture
def croissant(folders: Path) -> Path:
    return folders / "parquet" / NAME / "croissant.json"


def plain(value: Any, path: str) -> Any:
    """What mlcroissant gives, as the rows have it: text is bytes there, and every key a whole path."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, list):
        return [plain(inner, path) for inner in value]
    if isinstance(value, dict):
        return {key.removeprefix(f"{path}/"): plain(inner, key) for key, inner in value.items()}
    return value if value is None or isinstance(value, str) else int(value)


def flatten(row: dict[str, Any]) -> dict[str, Any]:
    """mlcroissant lifts a struct in a struct out to the row, from a list as one list a field; so do we."""
    flat = {}
    for name, value in row.items():
        members = value if isinstance(value, list) else [value]
        if not members or not isinstance(members[0], dict):
            flat[name] = value
            continue
        deep = [inner for inner, found in members[0].items() if isinstance(found, dict)]
        shallow = [{inner: v for inner, v in member.items() if inner not in deep} for member in members]
        flat[name] = shallow if isinstance(value, list) else shallow[0]
        for inner in deep:
            columns = {key: [member[inner][key] for member in members] for key in members[0][inner]}
            one = {key: column[0] for key, column in columns.items()}
            flat[f"{name}/{inner}"] = columns if isinstance(value, list) else one
    return flat


def test_mlcroissant_finds_no_error_in_it(croissant: Path) -> None:
    command = [sys.executable, "-m", "mlcroissant.scripts.validate", "--jsonld", str(croissant)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (shown.returncode, "error" in shown.stderr.lower()) == (0, False), shown.stderr
    issues = mlcroissant.Dataset(jsonld=str(croissant)).metadata.ctx.issues
    assert not issues.errors
    # Who publishes a folder knows these; who builds it does not.
    assert {str(warning).split('"')[1].rsplit("/", 1)[1] for warning in issues.warnings} <= {
        "datePublished",
        "license",
    }


@pytest.mark.parametrize(
    ("name", "config"),
    [(NAME, config) for config in ("sft", "sft_small", "dpo", "orpo", "rm", "provenance")]
    + [(BENCH, config) for config in ("bench", "provenance")],
)
def test_rows_are_read_by_it(folders: Path, name: str, config: str, caplog: pytest.LogCaptureFixture) -> None:
    expected = json.loads((folders / "expected.json").read_text(encoding="utf-8"))[name][config]
    with caplog.at_level(logging.WARNING):
        dataset = mlcroissant.Dataset(jsonld=str(folders / "parquet" / name / "croissant.json"))
        records = list(dataset.records(config))
    assert "Could not match" not in caplog.text
    found = [plain(record, config) for record in records]
    rows = [{**flatten(row), "split": split} for split, rows in expected.items() for row in rows]
    assert sorted(found, key=lambda row: str(row["id"])) == sorted(rows, key=lambda row: str(row["id"]))


def test_splits_are_told(croissant: Path) -> None:
    records = list(mlcroissant.Dataset(jsonld=str(croissant)).records("rm_splits"))
    assert [plain(record, "rm_splits")["name"] for record in records] == ["train", "test"]
