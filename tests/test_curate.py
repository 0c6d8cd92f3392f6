"""Curating a run: the record, what `build` makes of it, stale records, recipes and filters of one's own."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest
import yaml
from conftest import MakeRecipe
from prose import answer_in_prose
from test_cli import multifaceted
from typer.testing import CliRunner

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.cli import app
from multifaceted.curation.other_language import load_identifier
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import InputError, SetupError, StorageError
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan
from multifaceted.store.curation import read_curation, read_record
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer

REFUSAL = "I'm sorry, but I can't assist with that request."
SAME = "Both of them, always, and for the same reason: the harbor was built for the ferry."


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(
        fault=answer_in_prose(spoil={"Question 3": REFUSAL}, same={"Question 5": SAME})
    ) as running:
        yield running


@pytest.fixture
def run(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    return generate(make_recipe(server.base_url), tmp_path / "run")


def generate(recipe: Path, folder: Path) -> Path:
    asyncio.run(pipeline.generate(compile_plan(recipe), folder, control=RunControl()))
    return folder


def write_recipe(folder: Path, **content: Any) -> Path:
    path = folder / "curate.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def invoke(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code or isinstance(result.exception, (InputError, StorageError)), result.output
    if code == 2:
        assert result.exception is not None
        raise result.exception
    return result.stdout


def record_of(run: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in read_record(run / "curation").iter_rows(named=True)}


def built_ids(out: Path, config: str) -> list[str]:
    files = sorted((out / config).glob("*.arrow"))
    return [row for file in files for batch in read_published(file) for row in batch.column("id").to_pylist()]


def test_every_row_has_a_verdict_and_the_planted_ones_are_dropped(run: Path) -> None:
    found = curate_run(run, load_curation())
    record = record_of(run)
    assert len(record) == 30
    dropped = {row_id: row["reasons"] for row_id, row in record.items() if row["verdict"] == "drop"}
    refused = {row_id for row_id, reasons in dropped.items() if reasons == ["refusal"]}
    assert refused
    assert {row_id[:2] for row_id in refused} == {"i3"}
    assert {row_id: r for row_id, r in dropped.items() if row_id not in refused} == {
        "i5-v2": ["alike_responses"],
        "i5-v3": ["alike_responses"],
    }
    assert found.kept + found.dropped == 30
    assert found.dropped == len(dropped)
    assert found.reasons == {"refusal": len(refused), "alike_responses": 2}
    [finding] = record["i5-v2"]["findings"]
    assert (finding["partner"], finding["score"], finding["action"]) == ("i5-v1", 1.0, "drop")


def test_nothing_of_the_run_is_changed(run: Path) -> None:
    before = {path: hash_file(path) for path in run.rglob("*") if path.is_file()}
    curate_run(run, load_curation())
    assert {path: hash_file(path) for path in before} == before
    assert {path.name for path in (run / "curation").iterdir()} == {"record.parquet", "curation.json"}


def test_curating_twice_gives_the_same_bytes(run: Path) -> None:
    hashes = []
    for _ in range(2):
        curate_run(run, load_curation())
        hashes.append([hash_file(path) for path in sorted((run / "curation").iterdir())])
    assert hashes[0] == hashes[1]


def test_build_leaves_dropped_rows_out_before_it_chooses(run: Path, tmp_path: Path) -> None:
    curate_run(run, load_curation())
    kept = [row_id for row_id, row in record_of(run).items() if row["verdict"] == "keep"]
    manifest = build_folder(run, tmp_path / "out")
    assert built_ids(tmp_path / "out", "sft") == kept
    assert built_ids(tmp_path / "out", "provenance") == kept
    small = built_ids(tmp_path / "out", "sft_small")
    assert set(small) <= set(kept)
    assert "i5-v1" in small  # the one variant that is left
    assert manifest.left_out["too_few_variants"]
    assert "i5" in manifest.left_out["too_few_variants"]
    assert manifest.curation is not None
    assert manifest.run.planned == manifest.curation.kept + manifest.curation.dropped + manifest.run.failed
    assert check_folder(tmp_path / "out") == []
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"{len(kept)} here + {30 - len(kept)} dropped by curation (refusal: " in card


def test_build_without_curation_takes_all_rows(run: Path, tmp_path: Path) -> None:
    curate_run(run, load_curation())
    invoke("build", run, "--out", tmp_path / "all", "--no-curation")
    assert len(built_ids(tmp_path / "all", "sft")) == 30
    assert check_folder(tmp_path / "all") == []


def test_a_run_that_was_never_curated_builds_as_before(run: Path, tmp_path: Path) -> None:
    manifest = build_folder(run, tmp_path / "out")
    assert manifest.curation is None
    assert manifest.configs[0].rows == 30
    assert read_status(RunFolder(run)).curation is None


def test_load_dataset_opens_the_curated_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    found = curate_run(run, load_curation())
    build_folder(run, tmp_path / "out")
    rows = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert rows.num_rows == found.kept
    assert REFUSAL not in rows["output"][:]


def test_the_builder_heeds_the_curation_of_a_run_folder(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multifaceted.builders import MultifacetedCollection

    datasets.disable_progress_bars()
    build_folder(run, tmp_path / "all")
    loaded = {}
    for curated in (False, True):
        if curated:
            curate_run(run, load_curation())
            build_folder(run, tmp_path / "kept")
        for name in ("sft", "sft_small", "dpo"):
            builder = MultifacetedCollection(name, data_dir=run, cache_dir=str(tmp_path / "cache"))
            builder.download_and_prepare()
            loaded[curated, name] = builder.as_dataset(split="train")["id"][:]
    for name in ("sft", "sft_small", "dpo"):
        assert loaded[False, name] == built_ids(tmp_path / "all", name)
        assert loaded[True, name] == built_ids(tmp_path / "kept", name)
    assert loaded[False, "sft"] != loaded[True, "sft"]


def test_a_record_of_other_rows_is_stale(
    server: ChatServer, make_recipe: MakeRecipe, run: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, filters={"refusal": False})
    invoke("curate", run, "--recipe", recipe)
    (tmp_path / "r.j2").write_text("{% block user %}Now: {{ instruction }}{% endblock %}")
    generate(make_recipe(server.base_url, stages={"response": {"template": "r.j2"}}), run)
    with pytest.raises(StorageError, match="stale: rows have changed") as caught:
        build_folder(run, tmp_path / "out")
    assert f"multifaceted curate {run} --recipe {recipe}" in caught.value.hint
    assert "--no-curation" in caught.value.hint
    assert [fault for fault in check_folder(run) if "stale" in fault]
    assert read_status(RunFolder(run)).curation == {
        "kept": 28,
        "dropped": 2,
        "reasons": {"alike_responses": 2},
        "stale": "rows have changed since",
        "again": f"multifaceted curate {run} --recipe {recipe}",
    }
    shown = invoke("status", run)
    assert "it is stale, rows have changed since; again with: multifaceted curate" in shown
    invoke("curate", run, "--recipe", recipe)
    assert build_folder(run, tmp_path / "out").curation is not None
    assert check_folder(run) == []


def test_a_damaged_or_half_written_record_is_noticed(run: Path, tmp_path: Path) -> None:
    curate_run(run, load_curation())
    record = run / "curation" / "record.parquet"
    record.write_bytes(record.read_bytes()[:-9])
    with pytest.raises(StorageError, match="SHA-256 differs"):
        build_folder(run, tmp_path / "out")
    assert any("SHA-256" in fault for fault in check_folder(run))
    (run / "curation" / "curation.json").unlink()
    with pytest.raises(StorageError, match=r"has no curation\.json"):
        build_folder(run, tmp_path / "out")


def test_a_run_that_is_not_whole_is_not_curated(run: Path) -> None:
    (run / "manifest.json").unlink()
    with pytest.raises(StorageError, match="no finished run"):
        curate_run(run, load_curation())


def test_curation_that_drops_everything_is_no_dataset(run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, filters={"system_length": {"min_characters": 2999}})
    curate_run(run, load_curation(recipe))
    with pytest.raises(StorageError, match="drops all of its 30 rows"):
        build_folder(run, tmp_path / "out")
    for task in ("sft", "dpo"):
        ended = multifaceted("export", run, "--for", "trl", "--task", task, "--out", tmp_path / task)
        assert ended.returncode != 0
        assert "gives no row: curation drops all" in ended.stderr
        assert not (tmp_path / task).exists()


def test_a_filter_that_drops_most_rows_is_doubted_and_the_report_shows_them_all_the_same(
    run: Path, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, filters={"system_length": {"min_characters": 2999}})
    said = " ".join(invoke("curate", run, "--recipe", recipe).split())
    assert "system_length drops 100% of all rows" in said
    assert "filters: {system_length: false}" in said
    assert "of all rows" not in invoke("curate", run, "--out", tmp_path / "trial")
    with pytest.raises(StorageError, match="no rows to look at") as caught:
        invoke("report", run, "--out", tmp_path / "report", code=2)
    assert "--no-curation" in caught.value.hint
    assert "30 rows" in invoke("report", run, "--out", tmp_path / "report", "--no-curation")


def test_a_filter_can_be_switched_off_or_take_note_only(run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, filters={"alike_responses": False, "refusal": {"action": "note"}})
    found = curate_run(run, load_curation(recipe))
    assert (found.kept, found.reasons) == (30, {})
    assert found.notes["refusal"] >= 1
    assert "alike_responses" not in found.filters
    noted = [row for row in record_of(run).values() if row["findings"]]
    assert {row["verdict"] for row in noted} == {"keep"}
    assert {row["findings"][0]["action"] for row in noted} == {"note"}


def test_a_row_that_is_dropped_is_nobodys_partner(run: Path, tmp_path: Path) -> None:
    """The first of three equal responses falls for another reason, so the second stays in its place."""
    (tmp_path / "mine_first.py").write_text(
        "import polars as pl\n"
        "from multifaceted.curation import RowFilter\n\n\n"
        "class First(RowFilter):\n"
        "    name = 'first'\n"
        "    summary = 'the first variant'\n\n"
        "    def find(self, rows):\n"
        "        return rows.filter(pl.col('id') == 'i5-v1')\n"
    )
    recipe = write_recipe(tmp_path, own=[{"use": "mine_first:First"}])
    curate_run(run, load_curation(recipe))
    record = record_of(run)
    assert [record[f"i5-v{n}"]["reasons"] for n in (1, 2, 3)] == [["first"], [], ["alike_responses"]]
    assert record["i5-v3"]["findings"][0]["partner"] == "i5-v2"


def test_a_filter_of_ones_own_by_import_path(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine_polite.py").write_text(
        "import polars as pl\n"
        "from multifaceted.curation import RowFilter\n\n\n"
        "class TooPolite(RowFilter):\n"
        "    name = 'too_polite'\n"
        "    summary = 'it thanks too often'\n"
        "    words: str = 'sorry'\n\n"
        "    def find(self, rows):\n"
        "        found = rows.filter(pl.col('output').str.contains(self.words, literal=True))\n"
        "        return found.with_columns(detail=pl.lit(self.words), score=1)\n"
    )
    own = {"use": "mine_polite:TooPolite", "parameters": {"words": "always"}}
    recipe = write_recipe(tmp_path, filters={"alike_responses": False}, own=[own])
    found = curate_run(run, load_curation(recipe))
    assert found.reasons["too_polite"] == 3
    assert found.filters["too_polite"] == {"action": "drop", "words": "always"}
    assert record_of(run)["i5-v3"]["findings"] == [
        {"reason": "too_polite", "action": "drop", "score": 1.0, "partner": None, "detail": "always"}
    ]


@pytest.mark.parametrize(
    ("own", "line", "message"),
    [
        ([{"use": "no_such_module:A"}], 2, "cannot be imported: ModuleNotFoundError"),
        ([{"use": "json:JSONDecoder"}], 2, "is not a subclass of RowFilter"),
        ([{"use": "nonsense"}], 2, "should match pattern"),
        (
            [{"use": "multifaceted.curation.refusals:RefusalFilter"}],
            2,
            "another filter has the name 'refusal'",
        ),
        (
            [{"parameters": {"max_characters": 0}, "use": "multifaceted.curation.refusals:RefusalFilter"}],
            3,
            "greater than or equal to 1",
        ),
    ],
)
def test_what_is_wrong_with_a_filter_of_ones_own_is_told_with_its_line(
    tmp_path: Path, own: list[dict[str, Any]], line: int, message: str
) -> None:
    recipe = write_recipe(tmp_path, own=own)
    with pytest.raises(InputError, match=message) as caught:
        load_curation(recipe)
    assert caught.value.problems[0].line == line


def test_every_problem_of_a_recipe_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "curate.yaml"
    path.write_text("filters:\n  refusals: {}\n  truncated: {min_word: 3}\n  secret: 7\nextra: 1\n")
    with pytest.raises(InputError) as caught:
        load_curation(path)
    told = [(problem.line, problem.message) for problem in caught.value.problems]
    assert [line for line, _ in told] == [2, 3, 4, 5]
    assert "did you mean 'refusal'" in told[0][1]
    assert "did you mean 'min_words'" in told[1][1]


def test_the_example_recipe_is_sound() -> None:
    curation = load_curation(Path(__file__).parents[1] / "examples" / "curate.yaml")
    assert "quoted_preferences" not in curation.described
    assert curation.described["personal_data"]["action"] == "note"


def test_a_python_without_the_identifier_goes_by_letters_and_says_so(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    load_identifier.cache_clear()
    curate_run(run, load_curation(), tmp_path / "out")
    assert "other_language goes by letters alone" in caplog.text
    recipe = write_recipe(tmp_path, filters={"other_language": {"identifier": "fasttext"}})
    with pytest.raises(SetupError, match="which is not there for Python"):
        curate_run(run, load_curation(recipe))
    assert not (run / "curation").exists()


def test_a_pattern_that_is_none_is_refused(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, filters={"system_person": {"second_person": "("}})
    with pytest.raises(InputError, match="is not a regular expression"):
        load_curation(recipe)


def test_a_filter_of_ones_own_that_fails_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine_broken.py").write_text(
        "from multifaceted.curation import RowFilter\n\n\n"
        "class Broken(RowFilter):\n"
        "    name = 'broken'\n"
        "    summary = 'it fails'\n\n"
        "    def find(self, rows):\n"
        "        return rows['no_such_column']\n"
    )
    recipe = write_recipe(tmp_path, own=[{"use": "mine_broken:Broken"}])
    with pytest.raises(InputError, match="filter broken: fails: ColumnNotFoundError"):
        curate_run(run, load_curation(recipe))
    assert not (run / "curation").exists()


def test_the_fingerprint_depends_on_parameters_and_not_on_the_file(tmp_path: Path) -> None:
    default = load_curation().fingerprint
    assert load_curation(write_recipe(tmp_path, filters={"truncated": {}})).fingerprint == default
    changed = load_curation(write_recipe(tmp_path, filters={"truncated": {"min_words": 9}}))
    assert changed.fingerprint != default


def test_rows_are_looked_at_in_whole_instructions_whatever_the_frames(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curate_run(run, load_curation())
    before = read_record(run / "curation")
    monkeypatch.setattr("multifaceted.curation.rows.read_frames.__defaults__", (1,))
    curate_run(run, load_curation())
    assert read_record(run / "curation").equals(before)


def test_trying_a_recipe_elsewhere_leaves_the_run_alone(run: Path, tmp_path: Path) -> None:
    invoke("curate", run, "--out", tmp_path / "trial")
    assert not (run / "curation").exists()
    found = read_curation(tmp_path / "trial")
    assert found is not None
    assert found.dropped


def test_curate_prints_counts_and_the_next_step(run: Path) -> None:
    said = invoke("curate", run)
    assert "30 rows = " in said
    assert "alike_responses  2" in said
    assert f"multifaceted build {run} --out DIR" in said
    data = json.loads(invoke("curate", run, "--json"))
    assert data["kept"] + data["dropped"] == 30
    assert data["folder"] == str(run / "curation")


def test_show_prints_some_rows_of_a_reason_and_runs_nothing(run: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, filters={"refusal": False})
    invoke("curate", run, "--recipe", recipe)
    marker = hash_file(run / "curation" / "curation.json")
    said = invoke("curate", run, "--show", "alike_responses", "--limit", "1")
    assert "i5-v" in said
    assert SAME in said
    assert "like i5-v1" in said
    assert "1 of 2 rows with alike_responses" in said
    assert hash_file(run / "curation" / "curation.json") == marker
    shown = json.loads(invoke("curate", run, "--show", "alike_responses", "--json"))
    assert [row["id"] for row in shown] == ["i5-v2", "i5-v3"]
    with pytest.raises(InputError, match="did you mean 'alike_responses'"):
        invoke("curate", run, "--show", "alike_response", code=2)


def test_show_blots_out_secrets(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> None:
    key = "sk-proj-" + "aB3" * 14
    server.fault = answer_in_prose(same={"Question 1": f"Use the key {key} and be done with it."})
    run = generate(make_recipe(server.base_url, count=2), tmp_path / "other")
    invoke("curate", run)
    said = invoke("curate", run, "--show", "secret")
    assert "Use the key [a secret] and" in said
    assert key not in said
    assert key.encode() not in b"".join(path.read_bytes() for path in (run / "curation").iterdir())


def test_status_tells_of_the_curation(run: Path) -> None:
    curate_run(run, load_curation())
    data = json.loads(invoke("status", run, "--json"))
    assert data["curation"]["stale"] == ""
    assert data["curation"]["kept"] + data["curation"]["dropped"] == data["rows"]["ok"]
    assert "alike_responses" in invoke("status", run)


def test_rows_that_fail_are_no_rows_of_the_record(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    from multifaceted.testing import Fault

    prose = answer_in_prose()

    def fault(body: dict[str, Any]) -> Fault | None:
        if "Question 0" in body["messages"][-1]["content"]:
            return Fault(status=400)
        return prose(body)

    with ChatServer(fault=fault) as server:
        run = generate(make_recipe(server.base_url, count=3), tmp_path / "failing")
    found = curate_run(run, load_curation())
    assert (found.kept, found.dropped) == (6, 0)
    manifest = build_folder(run, tmp_path / "out")
    assert (manifest.run.planned, manifest.run.failed) == (9, 3)
    assert check_folder(tmp_path / "out") == []
    assert pl.read_parquet(run / "curation" / "record.parquet").height == 6
