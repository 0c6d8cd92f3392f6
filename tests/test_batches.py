"""Batch mode against a loopback server: the same rows as live, and nothing submitted twice."""

import asyncio
import json
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import DIMENSIONS, MakeRecipe
from test_crash import start, wait_until

from multifaceted import pipeline
from multifaceted.errors import (
    FatalEndpointError,
    InputError,
    InterruptedRunError,
    LimitReachedError,
    LockedError,
    StorageError,
    TransientEndpointError,
)
from multifaceted.generate.control import RunControl
from multifaceted.journal import read_bodies
from multifaceted.plan import compile_plan
from multifaceted.records import Failure
from multifaceted.store.batches import BatchFolder, BatchRecord
from multifaceted.store.manifest import RunData, read_layout
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import BatchFault, ChatServer, Fault

PRICES = {"input": 1000.0, "output": 2000.0, "batch_factor": 0.5}  # USD per million: dear, to be seen


def run(recipe: Path, folder: Path, *, control: RunControl | None = None, **options: Any) -> RunData:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(folder)))
    return asyncio.run(pipeline.generate(plan, folder, control=control or RunControl(), **options))


def run_live(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, **changes: Any) -> list[str]:
    """The shards of a live run; the server forgets that it was asked."""
    shards = hashes(run(make_recipe(server.base_url, **changes), tmp_path / "live"))
    server.paid.clear()
    server.bodies.clear()
    return shards


def batch_recipe(
    make_recipe: MakeRecipe, url: str, *, batch: dict[str, Any] | None = None, **changes: Any
) -> Path:
    spec = {"poll_seconds": 0.02, **(batch or {})}
    return make_recipe(url, name="batch.yaml", mode="batch", batch=spec, **changes)


def model_at(url: str, **changes: Any) -> dict[str, Any]:
    return {"base_url": url, "name": "some-model", "timeout": 5, "retry_wait": 0.01, **changes}


def hashes(data: RunData) -> list[str]:
    return [summary.sha256 for summary in data.summaries]


def failures_of(folder: Path, data: RunData) -> list[Failure]:
    return [record for s in data.summaries for record in RunFolder(folder).read_failures(s.name)]


def records_of(folder: Path) -> list[BatchRecord]:
    return BatchFolder(RunFolder(folder)).read_records()


def tags_of(server: ChatServer) -> list[str]:
    return [batch["metadata"]["multifaceted"] for batch in server.batches]


def question_of(body: dict[str, Any]) -> str:
    """The instruction that a request of the last stage asks; empty for the other stages."""
    content = str(body["messages"][-1]["content"])
    return content if "response_format" not in body and content.startswith("Question") else ""


def strike(question: str, fault: Fault) -> Callable[[dict[str, Any]], Fault | None]:
    return lambda body: fault if question_of(body) == question else None


def first_batch(fault: BatchFault) -> Callable[[int, dict[str, Any]], BatchFault | None]:
    return lambda number, _: fault if number == 0 else None


class StopWhen(RunControl):
    """Stops the run at the first pause between two looks at its batches where a condition holds."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        super().__init__()
        self._condition = condition

    async def sleep(self, seconds: float) -> None:
        if self._condition():
            self.stop()
        await super().sleep(seconds)


# The same rows


@pytest.mark.parametrize(
    ("batch", "batches"), [({}, 3), ({"max_requests": 7}, 15), ({"max_bytes": 40_000}, None)]
)
def test_batches_of_any_size_give_the_shards_of_a_live_run(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, batch: dict[str, Any], batches: int | None
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    data = run(batch_recipe(make_recipe, server.base_url, batch=batch), tmp_path / "run")
    assert hashes(data) == expected
    assert (server.batch_lines, server.repeats, len(server.bodies)) == (90, 0, 0)
    assert len(server.batches) == batches or (batches is None and len(server.batches) > 3)
    assert len(set(tags_of(server))) == len(server.batches)
    largest = max(b["request_counts"]["total"] for b in server.batches)
    assert largest <= batch.get("max_requests", 30)
    with urllib.request.urlopen(f"{server.base_url}/files?purpose=batch") as answer:
        sizes = [file["bytes"] for file in json.load(answer)["data"]]
    assert max(sizes) <= batch.get("max_bytes", 200_000_000)
    assert sorted(p.name for p in (tmp_path / "run/batches").iterdir() if p.suffix == ".jsonl") == []


def test_each_model_has_batches_of_its_own(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    stages = {"response": {"name": "another-model"}}
    expected = run_live(server, make_recipe, tmp_path, stages=stages)
    # Some rows fall behind, so that a wave asks both models.
    server.batch_fault = first_batch(BatchFault(missing=tuple(range(10))))
    data = run(batch_recipe(make_recipe, server.base_url, stages=stages), tmp_path / "run")
    assert hashes(data) == expected
    assert [batch["model"] for batch in server.batches].count("another-model") == 2


def test_a_finished_run_asks_for_nothing_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = batch_recipe(make_recipe, server.base_url)
    first = run(recipe, tmp_path / "run")
    assert run(recipe, tmp_path / "run") == first
    assert len(server.batches) == 3


def test_a_run_begun_live_is_finished_by_batches(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    async def stop_half_way(recipe: Path) -> None:
        control = RunControl()
        task = asyncio.create_task(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=control))
        while control.tally.requests < 20:  # noqa: ASYNC110 - it watches as a progress display does
            await asyncio.sleep(0.002)
        control.stop()
        with pytest.raises(InterruptedRunError):
            await task

    with ChatServer() as server:
        expected = run_live(server, make_recipe, tmp_path)
        server.latency = 0.01
        asyncio.run(stop_half_way(make_recipe(server.base_url)))
        asked = len(server.bodies)
        server.latency = 0
        assert hashes(run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")) == expected
        assert 20 <= asked < 90
        assert (server.batch_lines, server.repeats) == (90 - asked, 0)


def test_a_run_begun_by_batches_is_finished_live(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    control = StopWhen(lambda: len(server.batches) == 1)
    with pytest.raises(InterruptedRunError):
        run(batch_recipe(make_recipe, server.base_url), tmp_path / "run", control=control)
    assert server.batch_lines == sum(server.paid.values()) == 30
    assert hashes(run(make_recipe(server.base_url), tmp_path / "run")) == expected
    assert (len(server.bodies), server.repeats) == (60, 0)


def test_an_invalid_preference_set_gets_its_repair_turn_in_the_next_wave(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    turns: list[int] = []

    def break_first_turns(body: dict[str, Any]) -> Fault | None:
        if "response_format" in body:
            turns.append(len(body["messages"]))
        return (
            Fault(content='{"style": {}}') if turns and len(body["messages"]) == 2 and is_set(body) else None
        )

    def is_set(body: dict[str, Any]) -> bool:
        return "response_format" in body and body["seed"] % 2 == 0

    with ChatServer(fault=break_first_turns) as server:
        expected = run_live(server, make_recipe, tmp_path)
        turns.clear()
        assert hashes(run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")) == expected
        totals = [batch["request_counts"]["total"] for batch in server.batches]
        assert len(server.batches) == 4
        assert totals[:2] == [30, 30]  # the second wave holds repair turns beside system messages
        assert set(turns[30:]) == {4}
        assert sum(totals) == 90 + len(turns[30:])


# Batches that misbehave


@pytest.mark.parametrize(
    ("fault", "asked_again", "paid_again"),
    [
        pytest.param(BatchFault(expired_after=12), 18, 0, id="expired"),
        pytest.param(BatchFault(expired_after=0), 30, 0, id="expired at once"),
        pytest.param(BatchFault(cancelled_after=12), 18, 0, id="cancelled"),
        pytest.param(BatchFault(line_status=500), 30, 0, id="completed though all failed"),
        pytest.param(BatchFault(missing=(0, 7)), 2, 2, id="missing"),
        pytest.param(BatchFault(missing=tuple(range(30))), 30, 30, id="no result at all"),
        pytest.param(BatchFault(duplicated=(0, 3, 29)), 0, 0, id="duplicated"),
        pytest.param(BatchFault(garbled=(4,)), 1, 1, id="garbled"),
        pytest.param(BatchFault(renamed=(5, 6)), 2, 2, id="renamed"),
        pytest.param(BatchFault(order="shuffled"), 0, 0, id="shuffled"),
        pytest.param(BatchFault(order="kept"), 0, 0, id="in order"),
        pytest.param(BatchFault(poll_errors=3), 0, 0, id="poll errors"),
        pytest.param(BatchFault(create_errors=3), 0, 0, id="create errors"),
        pytest.param(BatchFault(create_errors=3, create_status=429), 0, 0, id="create too often"),
        pytest.param(BatchFault(create_errors=3, create_anyway=True), 0, 0, id="created all the same"),
        pytest.param(BatchFault(content_errors=3), 0, 0, id="content errors"),
        pytest.param(BatchFault(content_drops=3), 0, 0, id="content drops"),
        pytest.param(
            BatchFault(
                expired_after=20,
                missing=(1, 2),
                duplicated=(3,),
                garbled=(4,),
                renamed=(5,),
                order="shuffled",
                poll_errors=2,
                create_errors=2,
                create_anyway=True,
                content_errors=1,
                content_drops=1,
            ),
            14,
            4,
            id="all at once",
        ),
    ],
)
def test_a_batch_that_misbehaves_costs_no_row_and_only_what_was_lost_is_asked_again(
    server: ChatServer,
    make_recipe: MakeRecipe,
    tmp_path: Path,
    fault: BatchFault,
    asked_again: int,
    paid_again: int,
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    server.batch_fault = first_batch(fault)
    data = run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")
    assert hashes(data) == expected
    assert (server.batch_lines, server.repeats) == (90 + asked_again, paid_again)
    assert max(Counter(tags_of(server)).values()) == 1
    assert read_status(RunFolder(tmp_path / "run")).requests["total"] == 90


def make_fault(generator: random.Random) -> BatchFault:
    def pick(share: float) -> tuple[int, ...]:
        return tuple(n for n in range(30) if generator.random() < share)

    def some() -> int:
        return generator.choice((0, 0, 1, 2))

    fault = BatchFault(
        order=generator.choice(("reversed", "shuffled", "kept")),
        line_status=generator.choice((None, None, None, 500, 503)),
        missing=pick(0.05),
        duplicated=pick(0.2),
        garbled=pick(0.05),
        renamed=pick(0.05),
        poll_errors=some(),
        create_errors=some(),
        create_status=generator.choice((500, 429)),
        create_anyway=generator.random() < 0.5,
        content_errors=some(),
        content_drops=some(),
    )
    ends: list[dict[str, Any]] = [
        {},
        {"expired_after": generator.randrange(8)},
        {"cancelled_after": generator.randrange(8)},
        {"failed_with": "token_limit_exceeded"},
    ]
    return replace(fault, **generator.choices(ends, weights=(6, 1, 1, 1))[0])


@pytest.mark.parametrize("seed", range(4))
def test_any_mixture_of_misbehaviour_ends_in_the_same_shards(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, seed: int
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    generator = random.Random(seed)
    server.batch_fault = lambda number, _: make_fault(generator) if number < 15 else None
    model = model_at(server.base_url, max_attempts=50)
    recipe = batch_recipe(make_recipe, server.base_url, model=model, batch={"max_requests": 15})
    assert hashes(run(recipe, tmp_path / "run")) == expected
    assert max(Counter(tags_of(server)).values()) == 1
    records = records_of(tmp_path / "run")
    lost = sum(len(record.failed) for record in records)
    refused = sum(record.requests for record in records if record.state == "refused")
    assert server.batch_lines == 90 + lost + refused
    assert server.repeats <= lost
    assert read_status(RunFolder(tmp_path / "run")).requests["total"] == 90


def test_results_for_requests_of_nobody_are_told_of_and_change_nothing(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.batch_fault = first_batch(BatchFault(renamed=(0,), garbled=(1,)))
    assert run(batch_recipe(make_recipe, server.base_url), tmp_path / "run").ok == 30
    assert "none of its own" in caplog.text
    assert "is no JSON object" in caplog.text


# Batches that are refused as a whole


def test_a_full_queue_makes_smaller_batches(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    server.batch_fault = first_batch(BatchFault(failed_with="token_limit_exceeded"))
    assert hashes(run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")) == expected
    totals = [batch["request_counts"]["total"] for batch in server.batches]
    assert totals == [0, 15, 15, 15, 15, 15, 15]
    assert (server.batch_lines, server.repeats) == (120, 0)
    assert len(set(tags_of(server))) == 7


def test_a_full_queue_lets_the_batches_that_came_through_end_first(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    """Only so much fits in at once; which is what the queue of a small account is like."""

    def at_work() -> int:
        return sum(batch["status"] in ("validating", "in_progress") for batch in server.batches)

    expected = run_live(server, make_recipe, tmp_path)
    server.batch_seconds = 0.02
    full = BatchFault(failed_with="token_limit_exceeded")
    server.batch_fault = lambda *_: full if at_work() >= 2 else None
    recipe = batch_recipe(make_recipe, server.base_url, batch={"max_requests": 6})
    assert hashes(run(recipe, tmp_path / "run")) == expected
    assert server.repeats == 0


def test_a_queue_that_takes_not_even_one_request_stops_the_run_until_it_does(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = batch_recipe(make_recipe, server.base_url, count=2)
    server.batch_fault = lambda *_: BatchFault(failed_with="token_limit_exceeded")
    with pytest.raises(FatalEndpointError, match="token_limit_exceeded"):
        run(recipe, tmp_path / "run")
    server.batch_fault = None
    assert run(recipe, tmp_path / "run").ok == 6
    assert server.repeats == 0


@pytest.mark.parametrize("code", ["invalid_json_line", "model_not_found", "insufficient_quota"])
@pytest.mark.parametrize("batch", [{}, {"max_requests": 5}])
def test_a_refused_batch_stops_the_run_which_goes_on_once_the_endpoint_takes_it(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, code: str, batch: dict[str, Any]
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    recipe = batch_recipe(make_recipe, server.base_url, batch=batch)
    server.batch_fault = lambda *_: BatchFault(failed_with=code)
    for _ in range(2):
        with pytest.raises(FatalEndpointError, match=code) as caught:
            run(recipe, tmp_path / "run")
        assert ("credit" in caught.value.hint) == (code == "insufficient_quota")
    server.batch_fault = None
    assert hashes(run(recipe, tmp_path / "run")) == expected
    assert server.repeats == 0
    assert max(Counter(tags_of(server)).values()) == 1


def test_a_refused_batch_makes_exit_code_2_and_the_same_command_goes_on_later(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = batch_recipe(make_recipe, server.base_url)
    server.batch_fault = lambda *_: BatchFault(failed_with="invalid_json_line")
    refused = start(recipe, tmp_path / "run")
    _, shown = refused.communicate(timeout=30)
    assert (refused.returncode, "Traceback" in shown) == (2, False)
    assert "invalid_json_line" in shown
    assert "hint:" in shown
    server.batch_fault = None
    again = start(recipe, tmp_path / "run")
    _, shown = again.communicate(timeout=30)
    assert again.returncode == 0, shown


# Requests that fail


def test_a_request_refused_for_good_fails_its_row_and_is_not_submitted_again(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike("Question 2: why?", Fault(status=400))) as server:
        recipe = batch_recipe(make_recipe, server.base_url, count=4, variants=1)
        data = run(recipe, tmp_path / "run")
        assert server.batch_lines == 12
        run(recipe, tmp_path / "run")
        assert server.batch_lines == 12
    [record] = failures_of(tmp_path / "run", data)
    assert (record.id, record.stage, record.kind) == ("i2-v1", "response", "request_rejected")
    assert (data.ok, data.failed, record.retryable) == (3, 1, False)


def test_a_request_that_fails_in_passing_is_submitted_a_few_times_and_anew_by_the_next_run(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike("Question 2: why?", Fault(status=500))) as server:
        model = model_at(server.base_url, max_attempts=3)
        recipe = batch_recipe(make_recipe, server.base_url, count=4, variants=1, model=model)
        data = run(recipe, tmp_path / "run")
        assert server.batch_lines == 12 + 2
        [record] = failures_of(tmp_path / "run", data)
        assert (record.kind, record.retryable) == ("server_error", True)
        assert run(recipe, tmp_path / "run").failed == 1
        assert server.batch_lines == 12 + 2 + 3
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 4
        assert server.batch_lines == 12 + 2 + 3 + 1


def test_a_stop_after_failures_does_not_hold_their_requests_back_from_the_next_run(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=lambda _: Fault(status=500)) as server:
        model = model_at(server.base_url, max_attempts=2)
        recipe = batch_recipe(make_recipe, server.base_url, model=model, stop_after_failures=3)
        with pytest.raises(LimitReachedError):
            run(recipe, tmp_path / "run")
        server.fault = None  # the cause is mended, as the hint says
        assert run(recipe, tmp_path / "run").ok == 30


@pytest.mark.parametrize(
    ("fault", "kind", "raw"),
    [
        (Fault(refusal="I will not."), "refused", "I will not."),
        (Fault(finish_reason="length"), "truncated", '"length"'),
        (Fault(finish_reason="content_filter"), "content_filter", '"content_filter"'),
        (Fault(content="   "), "empty_reply", '"   "'),
    ],
)
def test_a_reply_that_cannot_be_used_fails_its_row_and_is_kept_raw(
    make_recipe: MakeRecipe, tmp_path: Path, fault: Fault, kind: str, raw: str
) -> None:
    with ChatServer(fault=strike("Question 2: why?", fault)) as server:
        recipe = batch_recipe(make_recipe, server.base_url, count=4, variants=1)
        data = run(recipe, tmp_path / "run")
        assert (data.ok, data.failed, server.batch_lines) == (3, 1, 12)
        run(recipe, tmp_path / "run")
        assert server.batch_lines == 12
    [record] = failures_of(tmp_path / "run", data)
    assert (record.id, record.kind) == ("i2-v1", kind)
    bodies = read_bodies(tmp_path / "run/shards/00000/journal.sqlite", [record.request_key])
    assert raw in bodies[record.request_key]


def test_a_result_that_is_no_completion_is_kept_and_its_request_submitted_again(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike("Question 2: why?", Fault(text='{"choices": []}'))) as server:
        model = model_at(server.base_url, max_attempts=2)
        recipe = batch_recipe(make_recipe, server.base_url, count=4, variants=1, model=model)
        data = run(recipe, tmp_path / "run")
        assert server.batch_lines == 12 + 1
        [record] = failures_of(tmp_path / "run", data)
        assert (record.kind, record.retryable) == ("garbage", True)
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 4
    assert b"choices" in (tmp_path / "run/shards/00000/journal.sqlite").read_bytes()


@pytest.mark.parametrize(
    "refused",
    [("max_tokens",), ("seed",), ("max_tokens", "temperature", "seed"), ("json_schema", "json_object")],
)
def test_what_an_endpoint_refuses_is_learned_from_the_results(
    make_recipe: MakeRecipe, tmp_path: Path, refused: tuple[str, ...]
) -> None:
    with ChatServer(refuse=refused, fault=_answer_in_prose) as server:
        expected = run_live(server, make_recipe, tmp_path)
        data = run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")
        assert (data.ok, hashes(data)) == (30, expected)
        assert server.batch_lines == 90 + 30 * len(refused)  # the first wave, once for each


def _answer_in_prose(body: dict[str, Any]) -> Fault | None:
    """Without a schema the server would answer with words where an object is wanted."""
    wants_object = "Specify the preferences" in body["messages"][-1]["content"]
    if not wants_object or body.get("response_format", {}).get("type") == "json_schema":
        return None
    entry = {"subdimension": "s", "preference": "p", "description": "d."}
    return Fault(content=f"Here it is:\n```json\n{json.dumps(dict.fromkeys(DIMENSIONS, entry))}\n```")


def test_a_refusal_that_no_other_writing_helps_fails_the_row(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    """The recipe itself insists on the parameter, so leaving it out does not come about."""
    with ChatServer(refuse=("seed",)) as server:
        model = model_at(server.base_url, extra_body={"seed": 3})
        recipe = batch_recipe(make_recipe, server.base_url, count=1, variants=1, model=model)
        data = run(recipe, tmp_path / "run")
        assert server.batch_lines < 10
    assert [record.kind for record in failures_of(tmp_path / "run", data)] == ["request_rejected"]


def test_a_wrong_key_stops_the_run_at_once_and_is_never_shown(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    with ChatServer(api_key="sk-very-secret") as server:
        model = model_at(server.base_url, api_key_env="MY_KEY")
        recipe = batch_recipe(make_recipe, server.base_url, model=model)
        server.api_key = "another"
        with pytest.raises(FatalEndpointError, match="401") as caught:
            run(recipe, tmp_path / "run")
        assert sum(server.statuses.values()) == 1
        _check_hidden(tmp_path / "run", caught.value, caplog)
        server.api_key = "sk-very-secret"
        assert run(recipe, tmp_path / "run").ok == 30
        assert server.batch_lines == 90


def test_a_wrong_key_within_a_batch_stops_the_run_and_is_never_shown(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    text = json.dumps({"error": {"message": "wrong key: sk-very-secret", "code": "invalid_api_key"}})
    with ChatServer(fault=strike("Question 2: why?", Fault(status=401, text=text))) as server:
        model = model_at(server.base_url, api_key_env="MY_KEY")
        recipe = batch_recipe(make_recipe, server.base_url, model=model)
        with pytest.raises(FatalEndpointError, match="401") as caught:
            run(recipe, tmp_path / "run")
        _check_hidden(tmp_path / "run", caught.value, caplog)
        assert len(server.batches) == 3
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 30  # the other replies were taken in
        assert (server.batch_lines, server.repeats) == (93, 0)


def _check_hidden(folder: Path, error: FatalEndpointError, caplog: pytest.LogCaptureFixture) -> None:
    assert "sk-very-secret" not in f"{error} {error.hint} {caplog.text}"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(b"sk-very-secret" in path.read_bytes() for path in files)


def test_retry_asks_only_for_the_failed_rows_again(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(fault=strike("Question 2: why?", Fault(refusal="I will not."))) as server:
        recipe = batch_recipe(make_recipe, server.base_url)
        assert run(recipe, tmp_path / "run").failed == 3
        server.fault = None
        before = server.batch_lines
        data = run(recipe, tmp_path / "run", retry=("refused",))
        assert (data.ok, data.failed) == (30, 0)
        assert server.batch_lines - before == 3
        assert run(recipe, tmp_path / "run", retry=("refused",)) == data


def test_running_again_with_longer_replies_asks_for_those_that_were_cut(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(fault=strike("Question 2: why?", Fault(finish_reason="length"))) as server:
        recipe = batch_recipe(make_recipe, server.base_url)
        assert run(recipe, tmp_path / "run").failed == 3
        server.fault = None
        longer = model_at(server.base_url, max_tokens=4096)
        data = run(batch_recipe(make_recipe, server.base_url, model=longer), tmp_path / "run")
        assert (data.ok, server.batch_lines) == (30, 93)


# Interruptions


def state_of(folder: Path, number: int) -> str:
    file = folder / f"batches/{number:04d}.json"
    return str(json.loads(file.read_text())["state"]) if file.exists() else ""


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "before anything": lambda folder: (folder / "run.json").exists(),
    "collecting": lambda folder: (folder / "batches/0001.input.jsonl").exists(),
    "uploading": lambda folder: state_of(folder, 1) == "written",
    "between upload and create": lambda folder: state_of(folder, 1) == "submitting",
    "polling": lambda folder: state_of(folder, 1) == "submitted",
    "harvesting": lambda folder: (folder / "batches/0001.results-0.jsonl").exists(),
    "collecting the second wave": lambda folder: (folder / "batches/0002.input.jsonl").exists(),
    "polling the second wave": lambda folder: state_of(folder, 2) == "submitted",
    "writing shards": lambda folder: any(folder.glob("shards/*/rows.arrow*")),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_any_moment_submits_nothing_twice(
    make_recipe: MakeRecipe, tmp_path: Path, moment: str
) -> None:
    with ChatServer() as server:
        expected = run_live(server, make_recipe, tmp_path, count=20)
        server.latency = 0.02
        recipe = batch_recipe(make_recipe, server.base_url, count=20)
        process = start(recipe, tmp_path / "run")
        wait_until(lambda: MOMENTS[moment](tmp_path / "run") or process.poll() is not None)
        kill(process)
        server.latency = 0
        assert hashes(run(recipe, tmp_path / "run")) == expected
        assert (server.batch_lines, server.repeats) == (180, 0)
        assert max(Counter(tags_of(server)).values()) == 1
    left = [path.name for path in (tmp_path / "run/batches").iterdir() if path.suffix != ".json"]
    assert sorted(left) == ["lock", "run"]


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_batch_whose_creation_was_never_heard_of_is_found_again(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    started: list[subprocess.Popen[str]] = []

    def kill_client(number: int, body: dict[str, Any]) -> None:
        if number == 0:
            started[0].send_signal(signal.SIGKILL)

    with ChatServer() as server:
        expected = run_live(server, make_recipe, tmp_path)
        server.batch_fault = kill_client
        recipe = batch_recipe(make_recipe, server.base_url)
        started.append(start(recipe, tmp_path / "run"))
        started[0].communicate(timeout=30)
        assert len(server.batches) == 1
        assert hashes(run(recipe, tmp_path / "run")) == expected
        assert (server.batch_lines, server.repeats) == (90, 0)


def test_a_run_killed_six_times_ends_as_one_that_was_not(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer() as server:
        expected = run_live(server, make_recipe, tmp_path)
        server.latency, server.batch_seconds = 0.005, 0.01
        recipe = batch_recipe(make_recipe, server.base_url, batch={"max_requests": 20})
        for _ in range(6):
            answered = sum(server.statuses.values()) + random.randint(1, 8)
            process = start(recipe, tmp_path / "run")
            wait_until(lambda: sum(server.statuses.values()) >= answered or process.poll() is not None)  # noqa: B023
            time.sleep(random.uniform(0, 0.02))
            kill(process)
        server.latency = server.batch_seconds = 0
        assert hashes(run(recipe, tmp_path / "run")) == expected
        assert (server.batch_lines, server.repeats) == (90, 0)
        assert max(Counter(tags_of(server)).values()) == 1


def test_an_interrupt_while_polling_leaves_the_batch_at_work_for_the_next_start(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(batch_seconds=60) as server:
        recipe = batch_recipe(make_recipe, server.base_url, batch={"poll_seconds": 30})
        process = start(recipe, tmp_path / "run")
        wait_until(lambda: state_of(tmp_path / "run", 1) == "submitted")
        time.sleep(0.1)  # until it sleeps between two polls
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=10)
        assert (process.returncode, "Traceback" in shown) == (130, False)
        assert f"everything is saved, go on with: multifaceted generate {recipe} --run" in shown
        server.batch_seconds = 0
        recipe = batch_recipe(make_recipe, server.base_url)
        assert run(recipe, tmp_path / "run").ok == 30
        assert (server.batch_lines, server.repeats) == (90, 0)


def test_an_interrupt_is_heard_while_requests_are_collected(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    async def stop_soon(recipe: Path) -> None:
        control = RunControl()
        task = asyncio.create_task(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=control))
        while not (tmp_path / "run/batches/0001.input.jsonl").exists():
            await asyncio.sleep(0)
        control.stop()
        with pytest.raises(InterruptedRunError):
            await task

    recipe = batch_recipe(make_recipe, server.base_url, count=300, shard_rows=100)
    asyncio.run(stop_soon(recipe))
    assert len(list((tmp_path / "run/shards").iterdir())) == 1  # it went over no more than it had begun
    assert not list((tmp_path / "run/batches").glob("*.jsonl"))
    assert sum(server.statuses.values()) == 0


def test_a_second_process_on_the_same_run_is_refused_at_once(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(batch_seconds=60) as server:
        recipe = batch_recipe(make_recipe, server.base_url)
        first = start(recipe, tmp_path / "run")
        wait_until(lambda: state_of(tmp_path / "run", 1) == "submitted")
        with pytest.raises(LockedError, match="another process looks after the batches"):
            run(recipe, tmp_path / "run")
        server.batch_seconds = 0
        kill(first)
        assert run(recipe, tmp_path / "run").ok == 30
        assert server.batch_lines == 90


# Live in the end, and what it costs


def test_the_last_requests_are_asked_live_and_each_mode_has_its_price(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(batch_fault=first_batch(BatchFault(expired_after=26))) as server:
        recipe = batch_recipe(make_recipe, server.base_url, model=model_at(server.base_url, prices=PRICES))
        process = start(recipe, tmp_path / "run", "--live-fallback", "4")
        _, shown = process.communicate(timeout=30)
        assert process.returncode == 0, shown
        # Four rows fell one wave behind: after three waves, four responses are missing.
        assert (server.batch_lines - 4, len(server.bodies), server.repeats) == (86, 4, 0)
        assert all(question_of(body) for body in server.bodies)
    modes = Counter[str]()
    for file in (tmp_path / "run/shards").glob("*/journal.sqlite"):
        with sqlite3.connect(file) as connection:
            modes.update(dict(connection.execute("SELECT mode, count(*) FROM replies GROUP BY mode")))
        connection.close()
    assert modes == {"batch": 86, "live": 4}
    command = [sys.executable, "-m", "multifaceted", "status", str(tmp_path / "run"), "--json"]
    status = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    spent = {(part["stage"], part["mode"]): part for part in status["spent"]}
    assert {key: part["replies"] for key, part in spent.items()} == {
        ("preferences", "batch"): 30,
        ("system_message", "batch"): 30,
        ("response", "batch"): 26,
        ("response", "live"): 4,
    }
    for (_, mode), part in spent.items():
        factor = 0.5 if mode == "batch" else 1.0
        tokens = part["prompt_tokens"] * 1000 + part["completion_tokens"] * 2000
        assert part["usd"] == pytest.approx(tokens * factor / 1e6)
        assert part["unpriced"] == 0
    assert status["usd"] == pytest.approx(sum(part["usd"] for part in spent.values()))


def test_a_run_smaller_than_its_live_fallback_has_no_batches(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    expected = run_live(server, make_recipe, tmp_path)
    recipe = batch_recipe(make_recipe, server.base_url)
    assert hashes(run(recipe, tmp_path / "run", live_fallback=30)) == expected
    assert (len(server.batches), len(server.bodies)) == (0, 90)


def test_a_batch_that_may_exceed_the_budget_is_not_submitted_and_a_larger_budget_goes_on(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    model = model_at(server.base_url, prices=PRICES)
    recipe = batch_recipe(make_recipe, server.base_url, model=model, budget={"max_usd": 30})
    first = start(recipe, tmp_path / "run")
    _, shown = first.communicate(timeout=30)
    assert (first.returncode, "Traceback" in shown) == (3, False)
    assert "raise budget.max_usd" in shown
    batches, spent = len(server.batches), read_status(RunFolder(tmp_path / "run")).usd
    assert 1 <= batches < 3
    assert 0 < spent <= 30
    with pytest.raises(LimitReachedError, match="the next batch may cost"):
        run(recipe, tmp_path / "run")
    assert len(server.batches) == batches
    assert run(recipe, tmp_path / "run", max_usd=1000).ok == 30
    assert (server.batch_lines, server.repeats) == (90, 0)


def test_batches_at_work_count_against_the_budget(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    server.batch_seconds = 60
    model = model_at(server.base_url, prices=PRICES)
    recipe = batch_recipe(make_recipe, server.base_url, model=model, batch={"max_requests": 10})
    with pytest.raises(LimitReachedError, match="0.00 are spent"):
        run(recipe, tmp_path / "run", max_usd=16)
    assert [batch["status"] for batch in server.batches] == ["validating"]
    server.batch_seconds = 0
    assert run(recipe, tmp_path / "run", max_usd=1000).ok == 30
    assert (server.batch_lines, server.repeats) == (90, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "local"},
        {"stages": {"response": {"endpoints": [{"base_url": "http://a/v1"}, {"base_url": "http://b/v1"}]}}},
    ],
)
def test_a_recipe_of_batches_needs_one_endpoint_for_each_model(
    make_recipe: MakeRecipe, changes: dict[str, Any]
) -> None:
    recipe = batch_recipe(make_recipe, "http://127.0.0.1:9/v1", **changes)
    with pytest.raises(InputError, match="behind one endpoint each") as caught:
        compile_plan(recipe)
    [problem] = caught.value.problems
    assert (problem.file, problem.line) == (str(recipe), 1)


# Endpoints that are no good

Meddle = Callable[[str, str, int, bytes], tuple[int, bytes]]


@contextmanager
def meddled(server: ChatServer, meddle: Meddle) -> Iterator[str]:
    """A base URL whose answers from the server go through `meddle(method, path, status, body)` first."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def log_message(self, *_: Any) -> None:
            pass

        def _pass_on(self, sent: bytes | None) -> None:
            url = server.base_url.removesuffix("/v1") + self.path
            kind = {"Content-Type": self.headers["Content-Type"] or "application/json"}
            request = urllib.request.Request(url, sent, kind, method=self.command)
            try:
                with urllib.request.urlopen(request) as answer:
                    status, body = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                with error:
                    status, body = error.status or 0, error.read()
            status, body = meddle(self.command, self.path.partition("?")[0], status, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}/v1"
        finally:
            proxy.shutdown()
            thread.join()


def spoil_first(method: str, path: str, spoiled: bytes, *, status: int = 200, times: int = 2) -> Meddle:
    """Answers to the first requests of a path are replaced; the server has done what they asked."""
    left = [times]

    def meddle(used: str, at: str, answered: int, body: bytes) -> tuple[int, bytes]:
        if (used, at) != (method, path) or not left[0]:
            return answered, body
        left[0] -= 1
        return status, spoiled

    return meddle


@pytest.mark.parametrize(
    "garbage", [b"<html>busy</html>", b"[1, 2]", b"{}", b"null", b'"yes"', b"\xff\xfe", b""]
)
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches"])
def test_garbage_in_place_of_an_answer_is_asked_for_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, call: str, garbage: bytes
) -> None:
    method, path = call.split()
    with meddled(server, spoil_first(method, path, garbage)) as url:
        assert run(batch_recipe(make_recipe, url, count=1), tmp_path / "run").ok == 3
    assert (server.batch_lines, server.repeats) == (9, 0)
    assert max(Counter(tags_of(server)).values()) == 1


@pytest.mark.parametrize(
    "garbage", [b"<html>busy</html>", b"[1, 2]", b"{}", b"null", b'{"status": 7, "id": 7}']
)
def test_garbage_in_place_of_a_state_is_asked_for_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, garbage: bytes
) -> None:
    polls: list[str] = []

    def meddle(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if method == "GET" and path.startswith("/v1/batches/"):
            polls.append(path)
            return (status, garbage) if len(polls) < 4 else (status, body)
        return status, body

    with meddled(server, meddle) as url:
        assert run(batch_recipe(make_recipe, url, count=1), tmp_path / "run").ok == 3
    assert (server.batch_lines, server.repeats) == (9, 0)


def test_a_batch_without_result_files_is_submitted_again(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    lost: list[str] = []

    def lose_files(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if method == "GET" and path.startswith("/v1/batches/") and len(lost) < 2:
            lost.append(path)
            return status, json.dumps({**json.loads(body), "output_file_id": None}).encode()
        return status, body

    with meddled(server, lose_files) as url:
        assert run(batch_recipe(make_recipe, url, count=1), tmp_path / "run").ok == 3
    assert len(set(lost)) == 2
    assert server.batch_lines == 15


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"[" * 100_000,
        b"\xff\xfe\n",
        b'{"custom_id": null}\n[]\n7\n',
        b"1" * 10_000,
    ],
)
def test_a_result_file_of_garbage_loses_its_requests_and_no_more(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, content: bytes
) -> None:
    spoiled: list[str] = []

    def spoil(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/content") and not spoiled:
            spoiled.append(path)
            return status, content
        return status, body

    with meddled(server, spoil) as url:
        assert run(batch_recipe(make_recipe, url, count=1), tmp_path / "run").ok == 3
    assert server.batch_lines == 12


@pytest.mark.parametrize(
    "result",
    [
        {"response": None, "error": None},
        {"response": "yes", "error": "no"},
        {"response": {"status_code": 99_999, "body": {}}},
        {"response": {"status_code": -1, "body": {}}},
        {"response": {"status_code": "200", "body": {}}},
        {"response": {"status_code": 200}},
        {"response": {"status_code": 200, "body": "<html>"}},
        {"response": {"status_code": 500, "body": [["why?"]]}},
        {"error": {"code": 7, "message": ["odd"]}},
    ],
)
def test_results_of_any_shape_fail_in_passing(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path, result: dict[str, Any]
) -> None:
    spoiled: list[str] = []

    def spoil(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if not path.endswith("/content") or spoiled:
            return status, body
        spoiled.append(path)
        ids = [json.loads(line)["custom_id"] for line in body.splitlines()]
        return status, "".join(json.dumps({"custom_id": name, **result}) + "\n" for name in ids).encode()

    with meddled(server, spoil) as url:
        assert run(batch_recipe(make_recipe, url, count=1), tmp_path / "run").ok == 3
    assert server.batch_lines == 12


def test_an_endpoint_that_only_says_too_many_requests_ends_the_run_which_can_go_on(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    said: list[str] = []

    def limit(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        said.append(path)
        return 429, b'{"error": {"message": "slow down"}}'

    model = model_at("", retry_wait=0.001)
    with meddled(server, limit) as url:
        recipe = batch_recipe(make_recipe, url, model={**model, "base_url": url})
        with pytest.raises(TransientEndpointError, match="slow down") as caught:
            run(recipe, tmp_path / "run")
    assert "run again" in caught.value.hint
    assert len(said) < 20
    assert run(batch_recipe(make_recipe, server.base_url), tmp_path / "run").ok == 30
    assert server.repeats == 0


def test_an_endpoint_without_the_batch_api_says_so(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    url = server.base_url.replace("/v1", "/v2")
    with pytest.raises(FatalEndpointError, match="404"):
        run(batch_recipe(make_recipe, url), tmp_path / "run")


def test_a_batch_that_the_endpoint_has_lost_stops_the_run_and_the_hint_says_how_to_go_on(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(batch_seconds=60) as server:
        recipe = batch_recipe(make_recipe, server.base_url)
        with pytest.raises(InterruptedRunError):
            run(recipe, tmp_path / "run", control=StopWhen(lambda: len(server.batches) == 1))
        port = server.port
    with ChatServer(port=port) as server:  # which knows of nothing
        with pytest.raises(FatalEndpointError, match="404") as caught:
            run(recipe, tmp_path / "run")
        assert "0001.json" in caught.value.hint
        (tmp_path / "run/batches/0001.json").unlink()
        assert run(recipe, tmp_path / "run").ok == 30
        assert server.batch_lines == 90


def test_a_batch_at_an_endpoint_that_the_recipe_names_no_more_is_told_of(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(batch_seconds=60) as former, ChatServer() as server:
        recipe = batch_recipe(make_recipe, former.base_url)
        with pytest.raises(InterruptedRunError):
            run(recipe, tmp_path / "run", control=StopWhen(lambda: len(former.batches) == 1))
        with pytest.raises(FatalEndpointError, match=former.base_url):
            run(batch_recipe(make_recipe, server.base_url), tmp_path / "run")
        assert len(server.batches) == 0
        former.batch_seconds = 0
        assert run(batch_recipe(make_recipe, former.base_url), tmp_path / "run").ok == 30
        assert former.repeats == 0


def test_many_small_batches_do_not_use_up_the_file_handles(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = batch_recipe(make_recipe, server.base_url, batch={"max_requests": 1}, shard_rows=100)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, hard))
    try:
        assert run(recipe, tmp_path / "run").ok == 30
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(server.batches) == 90


def test_records_of_batches_that_are_damaged_are_told_of(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = batch_recipe(make_recipe, server.base_url)
    with pytest.raises(InterruptedRunError):
        run(recipe, tmp_path / "run", control=StopWhen(lambda: len(server.batches) == 1))
    (tmp_path / "run/batches/0001.json").write_text('{"number": 1, "state": "lost"}')
    with pytest.raises(StorageError, match=r"0001\.json"):
        run(recipe, tmp_path / "run")
