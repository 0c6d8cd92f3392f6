"""Loading built folders, under `datasets` 5 with all other tests and under 3.6 by `make test-compat`.

Nothing here may import multifaceted at the top: the environment of 3.6 does not have it.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from make_folders import BENCH, FORMATS, NAME, find_folders

SCRIPT = Path(__file__).parents[2] / "builders" / f"{NAME}.py"
SCRIPTS_RUN = int(datasets.__version__.split(".")[0]) < 4
CONFIGS = ("sft", "sft_small", "dpo", "orpo", "rm", "provenance")
OF_A_BENCH = ("bench", "provenance")
Expected = dict[str, dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return find_folders(tmp_path_factory.mktemp("compat"))


@pytest.fixture(scope="module")
def expected(folders: Path) -> Expected:
    rows: Expected = json.loads((folders / "expected.json").read_text(encoding="utf-8"))[NAME]
    return rows


@pytest.fixture(params=FORMATS)
def place(request: pytest.FixtureRequest, folders: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder; it holds a multifaceted_collection."""
    monkeypatch.chdir(folders / request.param)
    return folders / str(request.param)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_MODULES_CACHE", tmp_path / "modules", raising=False)
    datasets.disable_progress_bars()


def build(config: str | None, folder: Path, **options: Any) -> Any:
    """Load by the builder: the class, or the same file as a loading script."""
    streaming, num_proc = options.get("streaming", False), options.get("num_proc")
    if SCRIPTS_RUN:
        return datasets.load_dataset(
            str(SCRIPT), config, data_dir=str(folder), trust_remote_code=True, **options
        )
    from multifaceted.builders import MultifacetedCollection

    builder = MultifacetedCollection(config, data_dir=folder)
    if streaming:
        return builder.as_streaming_dataset()
    builder.download_and_prepare(num_proc=num_proc)
    return builder.as_dataset()


def test_the_bare_name_gives_the_default_config(place: Path, expected: Expected) -> None:
    loaded = datasets.load_dataset(NAME)
    assert {split: rows.to_list() for split, rows in loaded.items()} == expected["sft"]


def test_the_configs_are_found(place: Path) -> None:
    assert sorted(datasets.get_dataset_config_names(NAME)) == sorted(CONFIGS)
    assert datasets.get_dataset_split_names(NAME, "rm") == ["train", "test"]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_has_its_splits_and_rows(place: Path, expected: Expected, config: str) -> None:
    loaded = datasets.load_dataset(NAME, config)
    assert {split: rows.to_list() for split, rows in loaded.items()} == expected[config]


@pytest.mark.parametrize("config", OF_A_BENCH)
def test_a_bench_loads_by_its_bare_name_and_by_the_builder(place: Path, folders: Path, config: str) -> None:
    expected = json.loads((folders / "expected.json").read_text(encoding="utf-8"))[BENCH]
    assert tuple(expected) == OF_A_BENCH
    assert datasets.load_dataset(BENCH, config)["train"].to_list() == expected[config]["train"]
    assert build(config, place / BENCH)["train"].to_list() == expected[config]["train"]
    assert build(None, place / BENCH)["train"].to_list() == expected["bench"]["train"]
    with pytest.raises(ValueError, match="has no config 'sft', but bench, provenance"):
        build("sft", place / BENCH)


def test_slices_and_sums_of_splits(place: Path, expected: Expected) -> None:
    train, test = expected["rm"]["train"], expected["rm"]["test"]
    for split, rows in {
        "train[:25%]": train[: round(len(train) * 0.25)],
        "train[3:7]": train[3:7],
        "train[-1:]": train[-1:],
        "train+test": train + test,
        "test": test,
    }.items():
        assert datasets.load_dataset(NAME, "rm", split=split).to_list() == rows


@pytest.mark.parametrize("config", CONFIGS)
def test_streaming_gives_the_same_rows(place: Path, expected: Expected, config: str) -> None:
    streamed = datasets.load_dataset(NAME, config, streaming=True)
    assert {split: list(rows) for split, rows in streamed.items()} == expected[config]


def test_files_are_shared_out_among_processes(place: Path, expected: Expected) -> None:
    assert datasets.load_dataset(NAME, split="train", streaming=True).num_shards == 4
    rows = datasets.load_dataset(NAME, split="train", num_proc=2)
    assert rows.to_list() == expected["sft"]["train"]


OFFLINE = """
import json, socket, sys

def refuse(*_):
    raise AssertionError("reached for the network")

socket.socket.connect = socket.getaddrinfo = refuse
from datasets import load_dataset
print(json.dumps([load_dataset(sys.argv[1], config, split="train")["id"][:] for config in sys.argv[2:]]))
"""


def test_no_network_is_needed(place: Path, expected: Expected, tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    shown = subprocess.run(
        [sys.executable, "-c", OFFLINE, NAME, "sft", "dpo"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert json.loads(shown) == [[row["id"] for row in expected[name]["train"]] for name in ("sft", "dpo")]


def test_a_rebuilt_folder_is_never_served_from_the_cache(place: Path, folders: Path, tmp_path: Path) -> None:
    copy = tmp_path / NAME
    outputs = []
    for source in (place, folders / "rebuilt" / place.name, place):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(source / NAME, copy)
        outputs.append(datasets.load_dataset(str(copy), split="train")["output"][:])
        assert build("sft", copy)["train"]["output"][:] == outputs[-1]
    assert not set(outputs[0]) & set(outputs[1])
    assert outputs[0] == outputs[2]


def test_two_folders_of_one_name_are_never_mixed_up(place: Path, folders: Path) -> None:
    other = folders / "rebuilt" / place.name / NAME
    mine = set(datasets.load_dataset(NAME, split="train")["output"])
    assert not mine & set(datasets.load_dataset(str(other), split="train")["output"])
    assert set(build("sft", place / NAME)["train"]["output"]) == mine
    assert not mine & set(build("sft", other)["train"]["output"])


@pytest.mark.parametrize("config", CONFIGS)
def test_the_builder_gives_the_same_rows(place: Path, expected: Expected, config: str) -> None:
    loaded = build(config, place / NAME)
    assert {split: rows.to_list() for split, rows in loaded.items()} == expected[config]
    published = datasets.load_dataset(NAME, config, split="train").features
    assert loaded["train"].features.arrow_schema == published.arrow_schema  # 3.x spells lists in two ways


def test_the_builder_streams_and_shares_files_out(place: Path, expected: Expected) -> None:
    streamed = build("rm", place / NAME, streaming=True)
    assert {split: list(rows) for split, rows in streamed.items()} == expected["rm"]
    assert build("sft", place / NAME, streaming=True)["train"].num_shards == 4
    assert build("sft", place / NAME, num_proc=2)["train"].to_list() == expected["sft"]["train"]


def test_the_builder_takes_the_first_config_by_default(place: Path, expected: Expected) -> None:
    assert build(None, place / NAME)["train"].to_list() == expected["sft"]["train"]


def test_the_builder_says_what_is_wrong(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no folder"):
        build("sft", tmp_path / "nothing")
    with pytest.raises(ValueError, match="has no config 'more', but sft, "):
        build("more", place / NAME)
    copy = tmp_path / NAME
    shutil.copytree(place / NAME, copy)
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    manifest["configs"] = [config for config in manifest["configs"] if config["name"] != "rm"]
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ValueError, match="has no config 'rm', but sft, "):
        build("rm", copy)


def test_the_builder_knows_the_configs_of_the_folder_and_no_others(
    place: Path, expected: Expected, tmp_path: Path
) -> None:
    copy = tmp_path / NAME
    shutil.copytree(place / NAME, copy)
    text = (copy / "manifest.json").read_text(encoding="utf-8").replace('"name": "dpo"', '"name": "mine"')
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    assert build("mine", copy)["train"].to_list() == expected["dpo"]["train"]
    with pytest.raises(ValueError, match="has no config 'dpo', but sft, sft_small, mine, "):
        build("dpo", copy)


@pytest.mark.skipif(not SCRIPTS_RUN, reason="datasets 4 and later run no loading scripts")
def test_the_loading_script_stands_alone(folders: Path) -> None:
    assert importlib.util.find_spec("multifaceted") is None
    with pytest.raises(ValueError, match="data_dir="):
        datasets.load_dataset(str(SCRIPT), "sft", trust_remote_code=True)
    with pytest.raises(ValueError, match="a run needs the package multifaceted"):
        build("sft", folders / "run")


@pytest.mark.skipif(SCRIPTS_RUN, reason="a run folder needs multifaceted, which needs a newer datasets")
@pytest.mark.parametrize("config", CONFIGS)
def test_the_builder_gives_the_rows_of_a_run(folders: Path, expected: Expected, config: str) -> None:
    for options in ({}, {"num_proc": 2}):
        loaded = build(config, folders / "run", **options)
        assert {split: rows.to_list() for split, rows in loaded.items()} == expected[config]
    streamed = build(config, folders / "run", streaming=True)
    assert {split: list(rows) for split, rows in streamed.items()} == expected[config]
