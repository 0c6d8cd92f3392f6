"""Batch mode against a loopback server: the same rows as live, and nothing submitted twice."""

import asyncio
import json
import random
import resource
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DIMENSIONS, write_recipe
from test_batch_client import Meddle, meddled
from test_crash import start, wait_until

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.batch import collect
from multifaceted.batch.folder import BatchFolder, BatchRecord, BatchWriter
from multifaceted.batch.queue_room import LONGEST_WAIT, PATIENCE
from multifaceted.errors import (
    FatalEndpointError,
    InterruptedRunError,
    LimitReachedError,
    LockedError,
    StorageError,
)
from multifaceted.planning import compile_plan
from multifaceted.records import Failure, Reply, Tally
from multifaceted.store.manifest import RunData, read_layout
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_spent, read_status
from multifaceted.testing import BatchFault, ChatServer, Fault

PRICES = {"input": 1000.0, "output": 2000.0, "batch_factor": 0.5}  # USD per million: dear, to be seen
FULL = BatchFault(failed_with="token_limit_exceeded")
KEY = "sk-very-secret"
ASK_AGAIN = {"lost_results": "ask_again", "results_polls": 2}


class BatchWorkspace:
    """A server, a run folder, and recipes of ten instructions in three variants."""

    def __init__(self, server: ChatServer, path: Path) -> None:
        self.server = server
        self.path = path
        self.folder = path / "run"

    def recipe(self, **changes: Any) -> Path:
        batch = {"poll_seconds": 0.005, "results_polls": 4, **changes.pop("batch", {})}
        return self.live_recipe(**{"mode": "batch", "batch": batch, **changes})

    def live_recipe(self, *, url: str = "", model: dict[str, Any] | None = None, **changes: Any) -> Path:
        url = url or self.server.base_url
        spec = {"base_url": url, "name": "some-model", "timeout": 5, "retry_wait": 0.01, **(model or {})}
        return write_recipe(self.path, url, model=spec, **changes)

    def run(self, recipe: Path, *, control: RunControl | None = None, **options: Any) -> RunData:
        plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(self.folder)))
        return asyncio.run(pipeline.generate(plan, self.folder, control=control or RunControl(), **options))

    def run_live_elsewhere(self, **changes: Any) -> list[str]:
        """The shards of a live run; the server forgets that it was asked."""
        shards = hashes(BatchWorkspace(self.server, self.path / "live").run(self.live_recipe(**changes)))
        self.server.paid.clear()
        self.server.bodies.clear()
        return shards

    def interrupt(self, recipe: Path) -> None:
        """A run that is stopped as soon as its first batch is submitted."""

        def stop(control: RunControl, _: float) -> None:
            if self.server.batches:
                control.stop()

        with pytest.raises(InterruptedRunError):
            self.run(recipe, control=Hooked(stop))

    def failures(self) -> list[Failure]:
        folder = RunFolder(self.folder)
        return [f for shard in folder.path.glob("shards/*") for f in folder.read_failures(shard.name)]

    def records(self) -> list[BatchRecord]:
        return BatchFolder(self.folder).read_records()

    def totals(self) -> list[int]:
        return [batch["request_counts"]["total"] for batch in self.server.batches]

    def check(self, data: RunData, expected: list[str], *, lines: int = 90, repeats: int = 0) -> None:
        """The shards are those of a live run, and so many requests were submitted, and paid twice."""
        assert hashes(data) == expected
        assert (self.server.batch_lines, self.server.repeats) == (lines, repeats)
        tags = Counter(batch["metadata"]["multifaceted"] for batch in self.server.batches)
        assert max(tags.values()) == 1


class Hooked(RunControl):
    """Calls `hook(control, seconds)` at each pause between two looks at the batches."""

    def __init__(self, hook: Callable[[RunControl, float], object]) -> None:
        super().__init__()
        self._hook = hook

    async def sleep(self, seconds: float) -> None:
        self._hook(self, seconds)
        await super().sleep(seconds)


def stop_after(replies: int) -> RunControl:
    """Stops the run at a reply."""
    control = RunControl()

    class Stops(Tally):
        def count_reply(self, reply: Reply | None, usd: float | None) -> None:
            super().count_reply(reply, usd)
            if self.requests == replies:
                control.stop()

    control.tally = Stops()
    return control


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BatchWorkspace]:
    with ChatServer() as server:
        yield BatchWorkspace(server, tmp_path)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The shards of a live run."""
    with ChatServer() as server:
        bench = BatchWorkspace(server, tmp_path_factory.mktemp("live"))
        return hashes(bench.run(bench.live_recipe()))


def hashes(data: RunData) -> list[str]:
    return [summary.sha256 for summary in data.summaries]


def question_of(body: dict[str, Any]) -> str:
    """The instruction that a request of the last stage asks; empty for the other stages."""
    content = str(body["messages"][-1]["content"])
    return content if "response_format" not in body and content.startswith("Question") else ""


def strike(fault: Fault) -> Callable[[dict[str, Any]], Fault | None]:
    """Let the responses to one question fail."""
    return lambda body: fault if question_of(body) == "Question 2: why?" else None


def first_batch(fault: BatchFault) -> Callable[[int, dict[str, Any]], BatchFault | None]:
    return lambda number, _: fault if number == 0 else None


# The same rows


@pytest.mark.parametrize("batch", [{"max_requests": 30}, {"max_requests": 7}, {"max_bytes": 40_000}])
def test_batches_of_any_size_give_the_shards_of_a_live_run(
    bench: BatchWorkspace, live: list[str], batch: dict[str, int]
) -> None:
    recipe = bench.recipe(batch=batch)
    data = bench.run(recipe)
    bench.check(data, live)
    sizes = {30: [30] * 3, 7: [7, 7, 7, 7, 2] * 3}
    assert bench.totals() == sizes.get(batch.get("max_requests", 0), bench.totals())
    assert len(bench.totals()) > 3 or "max_requests" in batch
    assert not list(bench.folder.glob("batches/*.jsonl"))
    assert bench.run(recipe) == data
    assert (bench.server.batch_lines, len(bench.server.bodies)) == (90, 0)


def test_each_model_has_batches_of_its_own(bench: BatchWorkspace) -> None:
    stages = {"response": {"model": {"name": "another-model"}}}
    expected = bench.run_live_elsewhere(stages=stages)
    # Some rows fall behind, so that a wave asks both models.
    bench.server.batch_fault = first_batch(BatchFault(missing=tuple(range(10))))
    recipe = bench.recipe(stages=stages, batch=ASK_AGAIN)
    bench.check(bench.run(recipe), expected, lines=100, repeats=10)
    assert [batch["model"] for batch in bench.server.batches].count("another-model") == 2


def test_a_run_begun_live_is_finished_by_batches(bench: BatchWorkspace, live: list[str]) -> None:
    with pytest.raises(InterruptedRunError):
        bench.run(bench.live_recipe(), control=stop_after(20))
    asked = len(bench.server.bodies)
    assert 20 <= asked < 90
    bench.check(bench.run(bench.recipe()), live, lines=90 - asked)


def test_a_run_begun_by_batches_is_finished_live(bench: BatchWorkspace, live: list[str]) -> None:
    with pytest.raises(InterruptedRunError):
        bench.run(bench.recipe(), control=stop_after(30))
    bench.check(bench.run(bench.live_recipe()), live, lines=30)
    assert len(bench.server.bodies) == 60


def test_an_invalid_preference_set_gets_its_repair_turn_in_the_next_wave(bench: BatchWorkspace) -> None:
    repairs: list[int] = []

    def break_first_turns(body: dict[str, Any]) -> Fault | None:
        turns = len(body["messages"])
        if "response_format" not in body or body["seed"] % 2:
            return None
        if turns > 2:
            repairs.append(turns)
        return Fault(content='{"style": {}}') if turns == 2 else None

    bench.server.fault = break_first_turns
    expected = bench.run_live_elsewhere()
    asked = len(repairs)
    assert asked > 0
    bench.check(bench.run(bench.recipe()), expected, lines=90 + asked)
    assert bench.totals() == [30, 30, 30, asked]  # the second wave holds repair turns beside system messages


# Batches that misbehave

EVERYTHING = BatchFault(
    order="shuffled",
    expired_after=20,
    missing=(1, 2),
    duplicated=(3,),
    garbled=(4,),
    renamed=(5,),
    poll_errors=2,
    create_errors=2,
    create_anyway=True,
    content_errors=1,
    content_drops=1,
)


@pytest.mark.parametrize(
    ("fault", "asked_again", "paid_again"),
    [
        pytest.param(BatchFault(expired_after=12), 18, 0, id="expired"),
        pytest.param(BatchFault(expired_after=0), 30, 0, id="expired at once"),
        pytest.param(BatchFault(cancelled_after=12), 18, 0, id="cancelled"),
        pytest.param(BatchFault(line_status=500), 30, 0, id="completed though all failed"),
        pytest.param(BatchFault(missing=tuple(range(30))), 30, 30, id="no result at all"),
        pytest.param(BatchFault(duplicated=(0, 3, 29), order="kept"), 0, 0, id="duplicated"),
        pytest.param(BatchFault(garbled=(4,), renamed=(5, 6)), 3, 3, id="garbled and renamed"),
        pytest.param(BatchFault(poll_errors=3), 0, 0, id="poll errors"),
        pytest.param(BatchFault(create_errors=3, create_status=429), 0, 0, id="created too often"),
        pytest.param(BatchFault(create_errors=3, create_anyway=True), 0, 0, id="created all the same"),
        pytest.param(BatchFault(content_errors=2, content_drops=2), 0, 0, id="content errors and drops"),
        pytest.param(EVERYTHING, 14, 4, id="everything at once"),
    ],
)
def test_a_batch_that_misbehaves_costs_no_row_and_only_what_was_lost_is_asked_again(
    bench: BatchWorkspace,
    live: list[str],
    caplog: pytest.LogCaptureFixture,
    *,
    fault: BatchFault,
    asked_again: int,
    paid_again: int,
) -> None:
    bench.server.batch_fault = first_batch(fault)
    recipe = bench.recipe(batch=ASK_AGAIN)
    bench.check(bench.run(recipe), live, lines=90 + asked_again, repeats=paid_again)
    assert read_status(RunFolder(bench.folder)).requests["total"] == 90
    unmatched = len(fault.garbled + fault.renamed)
    assert (f"{unmatched} lines belong to none of its requests" in caplog.text) == bool(unmatched)
    assert bench.records()[0].unmatched == unmatched
    kept = BatchFolder(bench.folder).file(1, "unmatched")
    assert (len(kept.read_bytes().splitlines()) if kept.exists() else 0) == unmatched


def make_fault(generator: random.Random) -> BatchFault:
    ends: list[dict[str, Any]] = [
        {"expired_after": None},
        {"expired_after": 5},
        {"expired_after": None, "cancelled_after": 5},
        {"expired_after": None, "line_status": 500},
        {"expired_after": None, "failed_with": "token_limit_exceeded"},
    ]
    lines = iter(generator.sample(range(15), 4))
    changes: dict[str, Any] = {
        **{what: (next(lines),) for what in ("missing", "garbled", "renamed", "duplicated")},
        "create_anyway": generator.random() < 0.5,
        "create_status": generator.choice((429, 500)),
        **generator.choices(ends, weights=(4, 1, 1, 1, 2))[0],
    }
    return replace(EVERYTHING, **changes)


@pytest.mark.parametrize("seed", range(2))
def test_any_mixture_of_misbehaviour_ends_in_the_same_shards(
    bench: BatchWorkspace, live: list[str], seed: int
) -> None:
    generator = random.Random(seed)
    bench.server.batch_fault = lambda number, _: make_fault(generator) if number < 12 else None
    data = bench.run(bench.recipe(model={"max_attempts": 50}, batch={"max_requests": 15, **ASK_AGAIN}))
    records = bench.records()
    lost = sum(len(record.failed) for record in records)
    refused = sum(record.requests for record in records if record.state == "refused")
    repeats = bench.server.repeats
    bench.check(data, live, lines=90 + lost + refused, repeats=repeats)
    assert 0 < repeats <= lost
    assert refused > 0
    assert read_status(RunFolder(bench.folder)).requests["total"] == 90


# Batches that are refused as a whole


def test_a_full_queue_makes_smaller_batches_which_grow_back(bench: BatchWorkspace, live: list[str]) -> None:
    bench.server.batch_fault = first_batch(FULL)
    bench.check(bench.run(bench.recipe()), live, lines=120)
    assert bench.totals() == [0, 15, 15, 30, 30]


def test_a_full_queue_lets_the_batches_that_came_through_end_first(
    bench: BatchWorkspace, live: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    def speed_up(*_: object) -> None:
        if [batch["status"] for batch in bench.server.batches].count("failed") == 3:
            bench.server.batch_seconds = 0

    bench.server.batch_seconds = 0.3
    bench.server.batch_fault = lambda number, _: FULL if number in (2, 3, 4) else None
    data = bench.run(bench.recipe(batch={"max_requests": 6}), control=Hooked(speed_up))
    bench.check(data, live, lines=90 + 18)
    assert "it takes 12 requests now" in caplog.text


def test_a_queue_that_takes_nothing_is_waited_for_and_then_stops_the_run_until_it_does(
    bench: BatchWorkspace,
) -> None:
    bench.server.batch_fault = lambda number, _: FULL if number < PATIENCE - 1 else None
    assert bench.run(bench.recipe(count=1, batch={"poll_seconds": 0.0002})).ok == 3
    assert bench.totals()[:PATIENCE] == [0] * (PATIENCE - 1) + [1]
    bench.server.batch_fault = lambda *_: FULL
    recipe, slept = bench.recipe(count=2, batch={"poll_seconds": 0.0002}), set[float]()
    with pytest.raises(FatalEndpointError, match="token_limit_exceeded") as caught:
        bench.run(recipe, control=Hooked(lambda _, seconds: slept.add(seconds)))
    assert "run again later" in caught.value.hint
    assert max(slept) == pytest.approx(0.0002 * LONGEST_WAIT)
    bench.server.batch_fault = None
    assert bench.run(recipe).ok == 6
    assert bench.server.repeats == 0


@pytest.mark.parametrize(
    ("code", "size"), [("invalid_json_line", 30), ("model_not_found", 5), ("insufficient_quota", 30)]
)
def test_a_refused_batch_stops_the_run_which_goes_on_once_the_endpoint_takes_it(
    bench: BatchWorkspace, live: list[str], code: str, size: int
) -> None:
    recipe = bench.recipe(batch={"max_requests": size})
    bench.server.batch_fault = lambda *_: BatchFault(failed_with=code)
    for _ in range(2):
        with pytest.raises(FatalEndpointError, match=code) as caught:
            bench.run(recipe)
        assert ("credit" in caught.value.hint) == (code == "insufficient_quota")
    bench.server.batch_fault = None
    bench.check(bench.run(recipe), live, lines=150)


# Requests that fail


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault(status=500), "server_error"), (Fault(text='{"choices": "kept"}'), "garbage")],
)
def test_a_request_that_fails_in_passing_is_submitted_a_few_times_and_anew_by_the_next_run(
    bench: BatchWorkspace, fault: Fault, kind: str
) -> None:
    bench.server.fault = strike(fault)
    recipe = bench.recipe(count=4, variants=1, model={"max_attempts": 3})
    for lines in (12 + 2, 12 + 2 + 3):
        assert bench.run(recipe).failed == 1
        assert bench.server.batch_lines == lines
        assert [(f.kind, f.retryable) for f in bench.failures()] == [(kind, True)]
    bench.server.fault = None
    assert bench.run(recipe).ok == 4
    assert bench.server.batch_lines == 12 + 2 + 3 + 1
    journal = (bench.folder / "shards/00000/journal.sqlite").read_bytes()
    assert (b"kept" in journal) == (kind == "garbage")


def test_a_stop_after_failures_does_not_hold_their_requests_back_from_the_next_run(
    bench: BatchWorkspace,
) -> None:
    bench.server.fault = lambda _: Fault(status=500)
    recipe = bench.recipe(model={"max_attempts": 2}, stop_after_failures=3)
    with pytest.raises(LimitReachedError):
        bench.run(recipe)
    bench.server.fault = None  # the cause is mended, as the hint says
    assert bench.run(recipe).ok == 30


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(Fault(status=400), "request_rejected"), (Fault(refusal="I will not."), "refused")],
)
def test_what_asking_again_cannot_help_fails_its_row_and_is_not_submitted_again(
    bench: BatchWorkspace, fault: Fault, kind: str
) -> None:
    bench.server.fault = strike(fault)
    recipe = bench.recipe(count=4, variants=1)
    for _ in range(2):
        data = bench.run(recipe)
        assert (data.ok, data.failed, bench.server.batch_lines) == (3, 1, 12)
    [failure] = bench.failures()
    assert (failure.id, failure.stage, failure.kind, failure.retryable) == ("i2-v1", "response", kind, False)


def answer_in_prose(body: dict[str, Any]) -> Fault | None:
    """Without a schema the server would answer with words where an object is wanted."""
    wants_object = "Specify the preferences" in body["messages"][-1]["content"]
    if not wants_object or body.get("response_format", {}).get("type") == "json_schema":
        return None
    entry = {"subdimension": "s", "preference": "p", "description": "d."}
    return Fault(content=f"Here it is:\n```json\n{json.dumps(dict.fromkeys(DIMENSIONS, entry))}\n```")


@pytest.mark.parametrize("refused", [("max_tokens", "temperature", "seed"), ("json_schema", "json_object")])
def test_what_an_endpoint_refuses_is_learned_from_the_results(
    bench: BatchWorkspace, refused: tuple[str, ...]
) -> None:
    bench.server.refuse, bench.server.fault = refused, answer_in_prose
    expected = bench.run_live_elsewhere(count=4)
    # The first wave comes once for each.
    bench.check(bench.run(bench.recipe(count=4)), expected, lines=36 + 12 * len(refused))


@pytest.mark.parametrize(
    ("refused", "extra"),
    [("seed", {"seed": 3}), ("json_schema", {"response_format": {"type": "json_schema"}})],
)
def test_a_refusal_of_what_the_recipe_insists_on_stops_the_run(
    bench: BatchWorkspace, refused: str, extra: dict[str, Any]
) -> None:
    bench.server.refuse = (refused,)
    with pytest.raises(FatalEndpointError, match="refuses every request for the same reason"):
        bench.run(bench.recipe(count=1, model={"extra_body": extra}))
    assert bench.server.batch_lines <= 3 * 2


def test_a_wrong_key_within_a_batch_stops_the_run_and_is_never_shown(
    bench: BatchWorkspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    text = json.dumps({"error": {"message": f"wrong key: {KEY}", "code": "invalid_api_key"}})
    bench.server.api_key, bench.server.fault = KEY, strike(Fault(status=401, text=text))
    recipe = bench.recipe(model={"api_key_env": "MY_KEY"})
    with pytest.raises(FatalEndpointError, match="401") as caught:
        bench.run(recipe)
    assert KEY not in f"{caught.value} {caught.value.hint} {caplog.text}"
    assert not any(KEY.encode() in path.read_bytes() for path in bench.folder.rglob("*") if path.is_file())
    bench.server.fault = None
    assert bench.run(recipe).ok == 30  # the other replies were taken in
    assert (bench.server.batch_lines, bench.server.repeats) == (93, 0)


def test_failed_rows_are_asked_again_on_demand_or_where_replies_may_be_longer(bench: BatchWorkspace) -> None:
    bench.server.fault = strike(Fault(refusal="I will not."))
    assert bench.run(bench.recipe(count=4)).failed == 3
    bench.server.fault = strike(Fault(finish_reason="length"))
    assert bench.run(bench.recipe(count=4), retry=("refused",)).failed == 3
    bench.server.fault = None
    assert bench.run(bench.recipe(count=4, model={"max_tokens": 4096})).ok == 12
    assert bench.server.batch_lines == 36 + 3 + 3


# Interruptions


def state_of(folder: Path, number: int) -> str:
    file = folder / f"batches/{number:04d}.json"
    return str(json.loads(file.read_text())["state"]) if file.exists() else ""


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "collecting": lambda folder: (folder / "batches/0001.input.jsonl").exists(),
    "uploading": lambda folder: state_of(folder, 1) == "written",
    "between upload and create": lambda folder: state_of(folder, 1) == "submitting",
    "harvesting": lambda folder: any(folder.glob("batches/*.results-0.jsonl*")),
    "polling the second wave": lambda folder: state_of(folder, 2) == "submitted",
    "writing shards": lambda folder: any(folder.glob("shards/*/rows.arrow*")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment_submits_nothing_twice(
    bench: BatchWorkspace, live: list[str], moment: str
) -> None:
    bench.server.latency = 0.02
    recipe = bench.recipe()
    process = start(recipe, bench.folder)
    wait_until(lambda: MOMENTS[moment](bench.folder) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    for name in ("0077.index.jsonl", "0001.json.99.tmp"):  # as a worse moment would leave them
        (bench.folder / "batches" / name).touch()
    bench.server.latency = 0
    bench.check(bench.run(recipe), live)
    left = [path.name for path in (bench.folder / "batches").iterdir() if path.suffix != ".json"]
    assert left == ["lock"]


def test_a_batch_whose_creation_was_never_heard_of_is_found_again(
    bench: BatchWorkspace, live: list[str]
) -> None:
    started: list[subprocess.Popen[str]] = []

    def kill_client(number: int, _: dict[str, Any]) -> None:
        if number == 0:
            started[0].send_signal(signal.SIGKILL)

    bench.server.batch_fault = kill_client
    recipe = bench.recipe()
    started.append(start(recipe, bench.folder))
    started[0].communicate(timeout=30)
    assert len(bench.server.batches) == 1
    bench.check(bench.run(recipe), live)


def test_a_run_at_work_keeps_others_out_and_an_interrupt_leaves_its_batch_at_work(
    bench: BatchWorkspace, live: list[str]
) -> None:
    bench.server.batch_seconds = 60
    recipe = bench.recipe(batch={"poll_seconds": 30})
    process = start(recipe, bench.folder)
    wait_until(lambda: bench.server.statuses.total() == 3)  # now the first poll is answered
    with pytest.raises(LockedError, match="another process looks after the batches"):
        bench.run(recipe)
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=10)
    assert (process.returncode, "Traceback" in shown) == (130, False)
    assert "everything is saved, resume with: " in shown
    assert f" generate {recipe} --run" in shown
    bench.server.batch_seconds = 0
    bench.check(bench.run(bench.recipe()), live)


def test_an_interrupt_is_heard_while_requests_are_collected(
    bench: BatchWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = RunControl()

    class Stops(BatchWriter):
        def add(self, *args: Any, **options: Any) -> None:
            super().add(*args, **options)
            control.stop()

    monkeypatch.setattr(collect, "BatchWriter", Stops)
    with pytest.raises(InterruptedRunError):
        bench.run(bench.recipe(), control=control)
    assert len(list((bench.folder / "shards").iterdir())) == 1  # it went over no more than it had begun
    assert not list((bench.folder / "batches").glob("*.jsonl"))
    assert bench.server.statuses.total() == 0


# Live in the end, and what it costs


def test_the_last_requests_are_asked_live_and_each_mode_has_its_price(
    bench: BatchWorkspace, live: list[str]
) -> None:
    bench.server.batch_fault = first_batch(BatchFault(expired_after=26))
    recipe = bench.recipe(model={"prices": PRICES})
    # Four rows fell one wave behind: after three waves, four responses are missing.
    bench.check(bench.run(recipe, live_fallback=4), live)
    assert len([question_of(body) for body in bench.server.bodies]) == 4
    spent = read_spent(RunFolder(bench.folder), [f"{number:05d}" for number in range(3)])
    responses = {part.mode: part.replies for part in spent if part.stage == "response"}
    assert (responses, len(spent)) == ({"batch": 26, "live": 4}, 4)
    for part in spent:
        usd = part.prompt_tokens * PRICES["input"] + part.completion_tokens * PRICES["output"]
        factor = PRICES["batch_factor"] if part.mode == "batch" else 1.0
        assert part.usd == pytest.approx(usd * factor / 1e6)


@pytest.mark.parametrize(("size", "seconds"), [(30, 0), (10, 60)], ids=["spent", "at work"])
def test_a_batch_that_may_exceed_the_budget_is_not_submitted_and_a_larger_budget_goes_on(
    bench: BatchWorkspace, live: list[str], size: int, seconds: float
) -> None:
    bench.server.batch_seconds = seconds
    recipe = bench.recipe(model={"prices": PRICES}, batch={"max_requests": size})
    with pytest.raises(LimitReachedError, match="the next batch may cost") as caught:
        bench.run(recipe, max_usd=size)
    assert "raise budget.max_usd" in caught.value.hint
    assert len(bench.server.batches) == 1
    assert ("0.00 are spent" in caught.value.message) == (seconds > 0)
    assert ("0.00 are at work" in caught.value.message) == (seconds == 0)
    bench.server.batch_seconds = 0
    with pytest.raises(LimitReachedError):
        bench.run(recipe, max_usd=size)
    assert len(bench.server.batches) == 1
    bench.check(bench.run(recipe, max_usd=1000), live)


def test_no_batch_is_submitted_on_a_budget_after_one_without_usage(bench: BatchWorkspace) -> None:
    def strip_usage(_: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        return status, body.replace(b'"usage"', b'"other"') if path.endswith("/content") else body

    with meddled(bench.server, strip_usage) as url:
        recipe = bench.recipe(url=url, model={"prices": PRICES})
        with pytest.raises(LimitReachedError, match="cannot be kept"):
            bench.run(recipe, max_usd=1000)
        assert bench.totals() == [30]
        assert bench.run(recipe).ok == 30
    assert bench.totals() == [30, 30, 30]
    assert read_status(RunFolder(bench.folder)).unpriced == 90


def test_what_a_batch_may_cost_is_reckoned_from_the_replies_that_came(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(BatchFault(expired_after=20))
    stages = {"preferences": {"model": {"name": "first-model", "prices": PRICES}}}
    bench.run(bench.recipe(model={"prices": PRICES}, stages=stages), max_usd=1000)
    expected = [r.expected_usd / r.requests for r in bench.records() if r.model == "first-model"]
    spent = read_spent(RunFolder(bench.folder), [f"{number:05d}" for number in range(3)])
    [cost] = [part.usd / part.replies for part in spent if part.stage == "preferences"]
    assert len(expected) == 2
    assert abs(expected[1] - cost) < abs(expected[0] - cost) / 2  # 20 replies are known by then


# Endpoints that are not good


def once(change: Callable[[bytes], bytes], *, path: str) -> Meddle:
    """The first answer to a GET of a path that begins, or ends, like this is changed."""
    left = [1]

    def meddle(method: str, at: str, status: int, body: bytes) -> tuple[int, bytes]:
        if method != "GET" or not (at.startswith(path) or at.endswith(path)) or not left:
            return status, body
        left.pop()
        return status, change(body)

    return meddle


@pytest.mark.parametrize(
    "content",
    [b"", b"[" * 100_000, b"\xff\xfe\n", b'{"custom_id": null}\n[]\n7\n', b"1" * 10_000],
    ids=["empty", "deep", "no text", "odd lines", "a number"],
)
def test_a_result_file_of_garbage_is_fetched_again(bench: BatchWorkspace, content: bytes) -> None:
    with meddled(bench.server, once(lambda _: content, path="/content")) as url:
        assert bench.run(bench.recipe(url=url, count=1)).ok == 3
    assert bench.server.batch_lines == 9


SHAPES: list[dict[str, Any]] = [
    {"response": None, "error": None},
    {"response": "yes", "error": "no"},
    {"response": {"status_code": 99_999, "body": {}}},
    {"response": {"status_code": -1, "body": {}}},
    {"response": {"status_code": "200", "body": {}}},
    {"response": {"status_code": 200}},
    {"response": {"status_code": 200, "body": "<html>"}},
    {"response": {"status_code": 500, "body": [["why?"]]}},
    {"error": {"code": 7, "message": ["odd"]}},
]


def test_results_of_any_shape_fail_in_passing(bench: BatchWorkspace) -> None:
    def spoil(body: bytes) -> bytes:
        ids = [json.loads(line)["custom_id"] for line in body.splitlines()]
        lines = ({"custom_id": name, **shape} for name, shape in zip(ids, SHAPES, strict=True))
        return "".join(json.dumps(line) + "\n" for line in lines).encode()

    with meddled(bench.server, once(spoil, path="/content")) as url:
        assert bench.run(bench.recipe(url=url, count=3)).ok == len(SHAPES)
    assert bench.server.batch_lines == 4 * len(SHAPES)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"output_file_id": None}, 9),
        # OpenAI's batches fail before anything is answered; others' may fail half-way.
        ({"status": "failed", "errors": {"data": [{"code": "odd", "message": "half-way"}]}}, 9),
    ],
    ids=["completed without files", "failed with files"],
)
def test_the_files_of_a_batch_count_whatever_its_status_says(
    bench: BatchWorkspace, changes: dict[str, Any], lines: int
) -> None:
    change = once(lambda body: json.dumps({**json.loads(body), **changes}).encode(), path="/v1/batches/")
    with meddled(bench.server, change) as url:
        assert bench.run(bench.recipe(url=url, count=1)).ok == 3
    assert bench.server.batch_lines == lines


@pytest.mark.parametrize("lost", ["/v1/batches/", "/v1/files/"], ids=["the batch", "its results"])
def test_what_the_endpoint_has_lost_stops_the_run_and_the_hint_says_how_to_go_on(
    bench: BatchWorkspace, live: list[str], lost: str
) -> None:
    def lose_first(_: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        first = bench.server.batches[0] if bench.server.batches else {"id": "none"}
        is_lost = first["id"] in path or str(first.get("output_file_id")) in path
        return (404, b"{}") if is_lost and path.startswith(lost) else (status, body)

    with meddled(bench.server, lose_first) as url:
        for _ in range(2):
            with pytest.raises(FatalEndpointError, match="batch_") as caught:
                bench.run(bench.recipe(url=url))
        file = bench.folder / "batches/0001.json"
        assert str(file) in caught.value.hint
        file.unlink()
        data = bench.run(bench.recipe(url=url))
    bench.check(data, live, lines=120, repeats=30)  # as the hint says


def test_a_batch_at_an_endpoint_that_the_recipe_names_no_more_is_told_of(bench: BatchWorkspace) -> None:
    bench.server.batch_seconds = 60
    bench.interrupt(bench.recipe())
    with ChatServer() as another:
        with pytest.raises(FatalEndpointError, match=bench.server.base_url):
            bench.run(bench.recipe(url=another.base_url))
        assert another.statuses.total() == 0


def test_many_small_batches_use_up_neither_file_handles_nor_the_endpoints_patience(
    bench: BatchWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "MAX_BATCHES", 17)  # in a wave of eighteen requests
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 25, hard))
    try:
        assert bench.run(bench.recipe(count=6, batch={"max_requests": 1})).ok == 18
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (bench.totals(), bench.server.repeats) == ([1] * 54, 0)


@pytest.mark.parametrize(
    ("name", "text"), [("0001.json", '{"number": 1, "state": "lost"}'), ("0001.index.jsonl", "[1]\n")]
)
def test_records_of_batches_that_are_damaged_are_told_of(bench: BatchWorkspace, name: str, text: str) -> None:
    bench.server.batch_seconds = 60
    bench.interrupt(bench.recipe())
    bench.server.batch_seconds = 0
    (bench.folder / "batches" / name).write_text(text)
    with pytest.raises(StorageError, match=name):
        bench.run(bench.recipe())
