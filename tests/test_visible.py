"""Rows can be seen as soon as they are done: in open shards, while others write, and after any kill."""

import asyncio
import json
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_crash import start, wait_until
from typer.testing import CliRunner, Result

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.building.source import open_run, open_source
from multifaceted.cli import app
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.errors import InterruptedRunError, MultifacetedError, StorageError
from multifaceted.ids import hash_file
from multifaceted.planning import compile_plan
from multifaceted.records import Failure, Reply, Row, Tally
from multifaceted.reporting.page import _render_page
from multifaceted.reporting.rows import open_rows as open_report_rows
from multifaceted.reporting.statistics import measure
from multifaceted.store.manifest import read_layout, read_run
from multifaceted.store.open_rows import OpenRowsWriter, open_rows
from multifaceted.store.present import look_at_run
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.status import RunStatus, read_status
from multifaceted.testing import ChatServer, Fault
from multifaceted.why.rows import iter_rows
from multifaceted.why.story import tell_story

REFUSAL = "I would rather not."


def refuse_question_1(body: dict[str, Any]) -> Fault | None:
    asked = body["messages"][-1]["content"]
    return Fault(refusal=REFUSAL) if asked == "Question 1: why?" else None


def stop_after(replies: int) -> RunControl:
    control = RunControl()

    class Stops(Tally):
        def count_reply(self, reply: Reply | None, usd: float | None) -> None:
            super().count_reply(reply, usd)
            if self.requests == replies:
                control.stop()

    control.tally = Stops()
    return control


def generate(recipe: Path, folder: Path, control: RunControl | None = None, **options: Any) -> None:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    asyncio.run(pipeline.generate(plan, folder, control=control or RunControl(), **options))


def say(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def files_of(folder: Path) -> dict[str, str]:
    return {str(path): hash_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def ids_of(run: Path, **options: Any) -> list[str]:
    return [row["id"] for row in iter_rows(run, **options)]


def waiting_rows(run: Path) -> list[str]:
    """Rows that have replies, and are not done."""
    with closing(sqlite3.connect(run / "shards/00000/journal.sqlite")) as journal:
        asked = [row for (row,) in journal.execute("SELECT DISTINCT row_id FROM replies ORDER BY rowid")]
    return [name for name in asked if name not in ids_of(run) and not name.startswith("i1-")]


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(fault=refuse_question_1) as running:
        yield running


@pytest.fixture
def recipe(server: ChatServer, make_recipe: MakeRecipe) -> Path:
    """Thirty rows in one shard, those of question 1 fail."""
    return make_recipe(server.base_url, concurrency=4, shard_rows=2000)


@pytest.fixture
def stopped(recipe: Path, tmp_path: Path) -> Path:
    """A run that was stopped in the middle of its only shard."""
    with pytest.raises(InterruptedRunError):
        generate(recipe, tmp_path / "run", stop_after(50))
    return tmp_path / "run"


def test_status_counts_rows_of_open_shards(stopped: Path) -> None:
    found = read_status(RunFolder(stopped))
    assert found.rows["ok"] > 0
    assert found.rows["failed"] == 3
    assert found.rows["pending"] > 0
    assert found.rows["planned"] == sum(found.rows.values()) - found.rows["planned"] == 30
    assert found.failures == {"refused": 3}
    assert found.shards == {"planned": 1, "finished": 0, "open": 1}
    assert found.open_rows == found.rows["ok"] + found.rows["failed"]
    assert f"{found.open_rows} of these rows lie in 1 open shard" in say("status", stopped).stdout


def test_rows_come_in_order_and_are_those_of_the_whole_run(stopped: Path, recipe: Path) -> None:
    open_ones = list(iter_rows(stopped))
    generate(recipe, stopped)
    whole = list(iter_rows(stopped))
    assert [row for row in whole if row["id"] in {row["id"] for row in open_ones}] == open_ones
    assert len(whole) == 27
    assert not (stopped / "shards/00000/open.jsonl").exists()


def test_failures_of_open_shards_are_listed_with_their_replies(stopped: Path) -> None:
    lines = say("failures", stopped, "--json").stdout.splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["id"] for record in records] == ["i1-v1", "i1-v2", "i1-v3"]
    assert all(REFUSAL in record["reply"] for record in records)
    said = say("failures", stopped).stdout
    assert "3 failed rows so far; finish the run" in said  # `retry` takes finished shards only


def test_why_tells_of_rows_that_are_done_failed_and_waiting(stopped: Path) -> None:
    done, failed = tell_story(stopped, ids_of(stopped)[-1]), tell_story(stopped, "i1-v2")
    assert (done.outcome, len(done.turns), done.waiting) == ("ok", 3, None)
    assert done.made is not None
    assert (failed.outcome, failed.failure and failed.failure["message"]) == ("failed", REFUSAL)
    begun, never = tell_story(stopped, waiting_rows(stopped)[0]), tell_story(stopped, "i9-v3")
    assert (begun.outcome, never.outcome, never.waiting) == ("pending", "pending", "preferences")
    assert never.spent["replies"] == 0 < begun.spent["replies"]
    assert begun.waiting == ("preferences", "system_message", "response")[begun.spent["replies"]]
    said = say("why", stopped, begun.id).stdout
    assert f"not done yet: waiting at stage {begun.waiting}" in said


def test_why_finds_a_waiting_row_in_the_journal_where_the_recipe_is_gone(stopped: Path, recipe: Path) -> None:
    begun = waiting_rows(stopped)[0]
    recipe.unlink()
    story = tell_story(stopped, begun)
    assert (story.outcome, story.waiting) == ("pending", None)
    assert story.spent["replies"] > 0
    with pytest.raises(MultifacetedError, match="no row has the id"):
        tell_story(stopped, "i9-v3")  # which has asked nothing


def test_a_brief_story_is_a_screenful_without_prompts(stopped: Path) -> None:
    first = next(iter_rows(stopped))
    said = say("why", stopped, first["id"], "--brief").stdout
    for words in (first["prompt"], first["system"], first["output"], "3 replies"):
        assert words in said
    assert len(said.splitlines()) < 15
    assert "[user]" not in said
    assert f"[response] {REFUSAL}" in say("why", stopped, "i1-v1", "--brief").stdout


def test_readers_change_nothing(stopped: Path, tmp_path: Path) -> None:
    before = files_of(stopped)
    for words in (("status",), ("rows",), ("failures",), ("why", "i2-v1")):
        assert say(words[0], stopped, *words[1:]).exit_code == 0
    build_folder(stopped, tmp_path / "built", partial=True)
    assert files_of(stopped) == before


def test_a_report_says_how_many_rows_are_missing(stopped: Path) -> None:
    found, status = measure(open_source(stopped, whole=False), None), read_status(RunFolder(stopped))
    assert found.counts == status.rows
    assert sum(found.sources.values()) == status.rows["ok"]
    page = _render_page(found, [], [], ink="", paper="")
    assert f"{status.rows['pending']} of 30 planned rows are missing" in page


def test_a_partial_build_holds_what_is_done_and_says_so(stopped: Path, tmp_path: Path) -> None:
    ids, counts = ids_of(stopped), read_status(RunFolder(stopped)).rows
    with pytest.raises(StorageError) as refused:
        build_folder(stopped, tmp_path / "built")
    assert "--partial" in refused.value.hint
    manifest = build_folder(stopped, tmp_path / "built", file_format="parquet", partial=True)
    assert (manifest.pending, manifest.run.counts) == (counts["pending"], counts)
    assert ids_of(tmp_path / "built") == ids
    assert check_folder(tmp_path / "built") == []
    words = f"{30 - counts['pending']} of 30 planned rows were made"
    assert words in say("check", tmp_path / "built").stdout
    card = (tmp_path / "built/README.md").read_text(encoding="utf-8")
    assert words in card
    assert f"{counts['pending']} not made yet" in card


def test_a_partial_build_of_a_whole_run_is_the_whole_build(recipe: Path, tmp_path: Path) -> None:
    generate(recipe, tmp_path / "run")
    curate_run(tmp_path / "run", load_curation())
    build_folder(tmp_path / "run", tmp_path / "a")
    build_folder(tmp_path / "run", tmp_path / "b", partial=True)
    a, b = (files_of(tmp_path / name).values() for name in "ab")
    assert list(a) == list(b)


def test_a_partial_build_of_damaged_rows_is_refused(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer() as server, pytest.raises(InterruptedRunError):
        generate(make_recipe(server.base_url, concurrency=2), tmp_path / "run", stop_after(60))
    file = tmp_path / "run/shards/00000/rows.arrow"
    file.write_bytes(file.read_bytes()[:-8] + b"damaged!")
    with pytest.raises(StorageError, match="SHA-256"):
        build_folder(tmp_path / "run", tmp_path / "built", partial=True)


def test_a_run_without_a_finished_row_is_said_to_have_none(
    server: ChatServer, recipe: Path, tmp_path: Path
) -> None:
    with pytest.raises(InterruptedRunError):
        generate(recipe, tmp_path / "run", stop_after(2))
    assert read_status(RunFolder(tmp_path / "run")).rows["pending"] == 30
    with pytest.raises(StorageError, match="no finished row yet"):
        build_folder(tmp_path / "run", tmp_path / "built", partial=True)
    assert say("rows", tmp_path / "run").exit_code == 0
    with pytest.raises(StorageError, match="no rows to look at"):
        open_report_rows(tmp_path / "run")


def test_a_slow_first_row_hides_none_that_are_done(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def hold_up_the_first(body: dict[str, Any]) -> Fault | None:
        return Fault(hang=60) if body["messages"][-1]["content"] == "Question 0: why?" else None

    def seen() -> int:
        return read_status(RunFolder(tmp_path / "run")).rows["ok"]

    async def stop_once_others_are_seen(server: ChatServer, recipe: Path) -> None:
        control = RunControl()
        task = asyncio.create_task(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=control))
        deadline = time.monotonic() + 10  # all others have three replies long before
        while (len(server.paid) < 70 or seen() < 22) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with ChatServer(fault=hold_up_the_first) as server:
        asyncio.run(stop_once_others_are_seen(server, make_recipe(server.base_url, count=12, variants=2)))
        assert seen() == 22


def test_a_killed_run_shows_its_rows_and_ends_as_one_that_was_not(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=0.01, fault=refuse_question_1) as server:
        recipe = make_recipe(server.base_url, count=14, concurrency=4, shard_rows=2000)
        generate(recipe, tmp_path / "whole")
        server.paid.clear()
        run = tmp_path / "run"
        process = start(recipe, run)
        file = run / "shards/00000/open.jsonl"
        wait_until(lambda: file.exists() and file.read_bytes().count(b"\n") > 20)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        wait_until(lambda: server.in_flight == 0)
        done = read_status(RunFolder(run)).rows
        assert done["ok"] + done["failed"] >= 20
        assert len(ids_of(run)) == done["ok"] == build_folder(run, tmp_path / "b", partial=True).run.ok
        assert tell_story(run, "i1-v1").outcome == "failed"
        before = file.read_bytes()
        with file.open("ab") as torn:
            torn.write(before[-300:-1])
        generate(recipe, run)
        assert len(server.paid) == 126
        assert server.repeats <= 4
    shards = [(path / "shards/00000/rows.arrow").read_bytes() for path in (run, tmp_path / "whole")]
    assert shards[0] == shards[1]
    assert not file.exists()


def test_two_look_while_a_third_writes(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """Shards open and close all the time; no reader fails, and none sees less than before."""
    run, ended, faults = tmp_path / "run", threading.Event(), list[BaseException]()
    looks: list[int] = []

    def look(*, build: bool) -> None:
        most, out = 0, tmp_path / f"built-{build}"
        while not ended.is_set():
            try:
                rows = read_status(RunFolder(run)).rows
                assert rows["planned"] == rows["ok"] + rows["failed"] + rows["pending"] == 48
                assert rows["ok"] + rows["failed"] >= most
                most = rows["ok"] + rows["failed"]
                ids = ids_of(run)
                assert len(ids) >= rows["ok"]
                assert ids == sorted(ids, key=natural)
                if ids:
                    assert tell_story(run, ids[-1]).outcome == "ok"
                if ids and build:
                    manifest = build_folder(run, out, partial=True)
                    assert [config.rows for config in manifest.configs if config.name == "sft"] == [
                        manifest.run.ok
                    ]
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test says it
                faults.append(error)
                return
            looks.append(most)

    with ChatServer(latency=0.01, fault=refuse_question_1) as server:
        recipe = make_recipe(server.base_url, count=16, concurrency=4, shard_rows=6)
        process = start(recipe, run)
        wait_until((run / "run.json").exists)
        readers = [threading.Thread(target=look, kwargs={"build": build}) for build in (False, True)]
        for reader in readers:
            reader.start()
        process.communicate(timeout=60)
        ended.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert len(set(looks)) > 2
    assert read_status(RunFolder(run)).rows["failed"] == 3


def natural(row_id: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", row_id)]


def test_a_shard_that_closes_between_two_looks_is_read_as_whole(stopped: Path, recipe: Path) -> None:
    class Closing(RunFolder):
        """The shard is closed right after it was found not to be whole."""

        def finished(self, name: str) -> ShardSummary | None:
            found = super().finished(name)
            if found is None:
                generate(recipe, stopped)
            return found

    assert look_at_run(Closing(stopped)).run.counts == {"planned": 30, "ok": 27, "failed": 3, "pending": 0}


def test_rows_that_were_opened_stay_the_same_though_their_shard_closes(stopped: Path, recipe: Path) -> None:
    source = open_run(stopped, whole=False, verified=False)
    before = [batch.to_pylist() for batch in source.read_rows()]
    copy = source.files[0]
    generate(recipe, stopped)
    assert [batch.to_pylist() for batch in source.read_rows()] == before
    assert len(next(iter(open_source(stopped).read_rows()))) == 27
    del source
    assert not copy.exists()


def test_no_row_is_hidden_while_failed_ones_are_made_again(
    server: ChatServer, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(recipe, tmp_path / "run")
    seen: list[dict[str, int]] = []
    write = RunFolder.write_failures

    def write_and_look(self: RunFolder, name: str, failures: list[Failure]) -> None:
        write(self, name, failures)
        seen.append(read_status(RunFolder(tmp_path / "run")).rows)

    monkeypatch.setattr(RunFolder, "write_failures", write_and_look)
    server.fault = None
    generate(recipe, tmp_path / "run", retry=["refused"])
    assert [rows["ok"] for rows in seen] == [27, 30]  # when it is ordered, and when the shard is closed


def test_rows_are_seen_while_batches_of_others_are_waited_for(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    seen: list[RunStatus] = []

    class Looks(RunControl):
        async def sleep(self, seconds: float) -> None:
            seen.append(read_status(RunFolder(tmp_path / "run")))
            await super().sleep(seconds)

    def need_a_repair(body: dict[str, Any]) -> Fault | None:
        first = "response_format" in body and len(body["messages"]) == 2
        return Fault(content="{}") if first and "Question 1:" in body["messages"][-1]["content"] else None

    with ChatServer(fault=need_a_repair, batch_seconds=0.02) as server:
        changes = {"mode": "batch", "batch": {"poll_seconds": 0.01}, "shard_rows": 2000}
        generate(make_recipe(server.base_url, **changes), tmp_path / "run", Looks())
    assert max(status.rows["ok"] for status in seen) == 27
    assert seen[-1].batches["submitted"] == {"batches": 1, "requests": 3}


def row(n: int, output: str = "An answer.") -> Row:
    record = {"model": "m", "request_key": "k", "template": "t", "tokens": {"prompt": 1, "completion": 2}}
    texts = dict.fromkeys(("main_source", "original_source", "system", "prompt"), "x")
    return Row.model_validate(
        {
            "id": f"i{n}-v1",
            "instruction_id": f"i{n}",
            "variant": 1,
            **texts,
            "preference_set": [],
            "output": output,
            "seed": 1,
            "seed_preferences": [],
            "taxonomy_version": "1",
            "taxonomy_fingerprint": "f",
            **dict.fromkeys(("preferences", "system_message", "response"), record),
        }
    )


def note(path: Path, *made: tuple[int, Row | Failure], fingerprint: str = "one") -> None:
    with OpenRowsWriter(path, fingerprint=fingerprint, planned=9, model=Row) as writer:
        for position, what in made:
            writer.note(position, what)


def outputs(path: Path, fingerprint: str = "one") -> list[str]:
    with open_rows(path, fingerprint) or pytest.fail("nothing is there") as found:
        assert found.planned == 9
        return [row["output"] for row in found.read_rows()]


FAILED = Failure("i3-v1", "refused", "response", "no", "key", retryable=False)


def test_rows_are_read_in_the_order_of_the_shard_and_of_each_the_last(tmp_path: Path) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (3, FAILED), (5, row(5, "e")), (1, row(1, "a")))
    note(path, (3, row(3, "c")), (1, row(1, "A")))
    assert outputs(path) == ["A", "c", "e"]
    note(path, (3, FAILED))
    with open_rows(path, "one") or pytest.fail("nothing is there") as found:
        assert (found.failures, found.find("i3-v1")) == ([FAILED], None)
        assert (found.sum_up("0").ok, found.sum_up("0").failures) == (2, {"refused": 1})


def test_what_the_file_has_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (1, row(1)), (3, FAILED))
    before = path.read_bytes()
    note(path, (1, row(1)), (3, FAILED))
    assert path.read_bytes() == before


@pytest.mark.parametrize("lost", [1, 2, 40, 200])
def test_a_torn_line_is_passed_over_and_the_next_one_is_read(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (1, row(1, "a")), (2, row(2, "b")))
    path.write_bytes(path.read_bytes()[:-lost])
    assert outputs(path) == (["a", "b"] if lost == 1 else ["a"])  # only the line's end is missing
    note(path, (3, row(3, "c")), (2, row(2, "b")))
    assert outputs(path) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:20],  # torn in the first line
        lambda content: b"",
        lambda content: b"\x00" * len(content),  # as a power cut may leave it
        lambda content: b"[]\n" + content,
        lambda content: content.replace(b'"one"', b'"two"', 1),
    ],
)
def test_a_file_without_a_sound_head_of_this_fingerprint_is_started_anew(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (1, row(1, "a")))
    path.write_bytes(spoil(path.read_bytes()))
    assert open_rows(path, "one") is None
    note(path, (2, row(2, "b")))
    assert outputs(path) == ["b"]


@pytest.mark.parametrize(
    "line",
    [
        b"\x00\x00\x00\n",
        b"{}\n",
        b"[]\n",
        b"7\n",
        b'{"position": "x", "row": {"id": "q"}}\n',
        b'{"position": 4, "row": {}}\n',
        b'{"position": 4, "row": []}\n',
        b'{"position": 4, "failure": {"id": "q"}}\n',
        b'{"position": 4, "failure": null}\n',
        b"\xff\xfe\n",
        b"\n",
    ],
)
def test_a_line_that_is_none_of_ours_hides_no_other(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (1, row(1, "a")))
    with path.open("ab") as file:
        file.write(line)
    note(path, (2, row(2, "b")))
    assert outputs(path) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["\u2028 \x85 \x1c", "a\nb\r\n", "\x00", "half an emoji \ud83d", "🙂", '"}}\\']
)
def test_any_text_can_be_noted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "open.jsonl"
    note(path, (1, row(1, text)), (2, row(2, "b")))
    assert outputs(path) == [text.encode("utf-8", "replace").decode(), "b"]


def test_a_row_of_a_former_recipe_is_said_to_be_one(
    server: ChatServer, recipe: Path, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    generate(recipe, tmp_path / "run")
    another = make_recipe(server.base_url, concurrency=4, shard_rows=2000, seed=8)
    with pytest.raises(InterruptedRunError):
        generate(another, tmp_path / "run", stop_after(12))
    status = read_status(RunFolder(tmp_path / "run"))
    assert status.rows["ok"] == len(ids_of(tmp_path / "run")) == status.open_rows < 12
    assert read_run(RunFolder(tmp_path / "run")).seed == 8
    assert tell_story(tmp_path / "run", "i9-v3").outcome == "pending"
