"""Batches whose results come late, short, never, or as no other server writes them: nothing is paid twice."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_batch_client import KEY, Meddle, meddled, talk
from test_batches import BatchWorkspace, Hooked, bench, first_batch, hashes, state_of
from test_crash import start, wait_until

from multifaceted.batch import bounded, results
from multifaceted.batch.lines import Answered, Refused, Unanswered, read_lines, read_outcome
from multifaceted.batch.state import read_state
from multifaceted.batch.wholeness import Found, are_unanswered, is_whole
from multifaceted.errors import FatalEndpointError, TransientEndpointError
from multifaceted.journal import sum_replies
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import BatchFault, Fault

__all__ = ["bench"]
NEVER = 1000


# Late

LATE = {
    "no id of the output": BatchFault(output_late=2),
    "no id of the errors": BatchFault(error_late=2, line_status=400),
    "404": BatchFault(content_errors=2, content_status=404),
    "cut without a length": BatchFault(content_cuts=2),
    "one short": BatchFault(short_output=1, short_for=2),
    "one short of no count": BatchFault(short_output=1, short_for=2, counts="absent"),
    "counts of before": BatchFault(counts="behind", counts_behind=3, output_late=2),
    "counts that are zero": BatchFault(counts="zero", output_late=2),
    "as Together": BatchFault(batch_style="together", output_late=1),
    "as Mistral": BatchFault(batch_style="mistral", output_late=1),
    "cancelled": BatchFault(cancelled_after=3, output_late=2),
    "everything": BatchFault(output_late=1, content_empty=1, content_cuts=1, short_output=2, short_for=1),
    "finalizing with its results": BatchFault(stuck_in="finalizing"),
    "an unknown end": BatchFault(stuck_in="archived"),
}


@pytest.mark.parametrize("name", LATE)
def test_results_that_come_late_are_waited_for_and_nothing_is_asked_again(
    bench: BatchWorkspace, name: str
) -> None:
    fault = LATE[name]
    bench.server.batch_fault = first_batch(fault)
    unanswered = {"cancelled": 3, "no id of the errors": 6}.get(name, 0)
    recipe = bench.recipe(count=2, batch={"results_polls": 40, "poll_seconds": 0.001})
    if fault.line_status == 400:  # the endpoint refused all alike: told, and not counted against any row
        with pytest.raises(FatalEndpointError, match="refuses every request for the same reason"):
            bench.run(recipe)
    assert bench.run(recipe).ok == 6
    assert (bench.server.batch_lines, bench.server.repeats) == (18 + unanswered, 0)


# Never

SHORT = BatchFault(short_output=2)
LOST = {
    "no id": BatchFault(output_late=NEVER),
    "no id and no count": BatchFault(output_late=NEVER, counts="absent"),
    "no id and counts of zero": BatchFault(output_late=NEVER, counts="zero"),
    "404": BatchFault(content_errors=NEVER, content_status=404),
    "two short": SHORT,
    "two short of no count": BatchFault(short_output=2, counts="null"),
    "two garbled": BatchFault(garbled=(0, 3)),
    "cancelled": BatchFault(cancelled_after=4, output_late=NEVER),
    "finalizing": BatchFault(stuck_in="finalizing", output_late=NEVER),
}


@pytest.mark.parametrize("name", LOST)
def test_results_that_never_come_stop_the_run_and_nothing_is_paid_twice(
    bench: BatchWorkspace, name: str
) -> None:
    bench.server.batch_fault = first_batch(LOST[name])
    recipe = bench.recipe(count=2)
    for _ in range(2):
        with pytest.raises(FatalEndpointError, match="result files hold") as caught:
            bench.run(recipe)
        assert "run again later" in caught.value.hint
        assert "lost_results: ask_again" in caught.value.hint
        assert state_of(bench.folder, 1) == "submitted"
        assert (bench.server.batch_lines, bench.server.repeats) == (6, 0)
    [record] = bench.records()
    [shown] = read_status(RunFolder(bench.folder)).waiting
    assert (shown["number"], shown["requests"], shown["waits_for"]) == (1, 6, record.waits_for)
    assert "result files hold" in record.waits_for
    readable = {"two short": 4, "two short of no count": 4, "two garbled": 4}.get(name, 0)
    journal = bench.folder / "shards/00000/journal.sqlite"
    assert sum(part.replies for part in sum_replies(journal)) == readable  # what came is safe


def test_results_that_come_between_two_starts_are_taken_by_the_second(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(BatchFault(output_late=6))
    with pytest.raises(FatalEndpointError, match="counts 6 as answered"):
        bench.run(bench.recipe(count=2))
    assert bench.run(bench.recipe(count=2)).ok == 6
    assert (bench.server.batch_lines, bench.server.repeats) == (18, 0)
    assert not any(record.waits_for for record in bench.records())
    assert read_status(RunFolder(bench.folder)).waiting == []


def test_results_that_are_given_up_are_asked_again_where_the_recipe_says_so(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(SHORT)
    with pytest.raises(FatalEndpointError):
        bench.run(bench.recipe(count=2))
    assert bench.run(bench.recipe(count=2, batch={"lost_results": "ask_again"})).ok == 6
    assert (bench.server.batch_lines, bench.server.repeats) == (18 + 2, 2)


def test_a_reply_that_a_later_look_finds_damaged_stays_as_it_was(bench: BatchWorkspace) -> None:
    damage: list[Callable[[list[bytes]], list[bytes]]] = [lambda lines: lines[:-1]]

    def spoil(_: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/content") and len(bench.server.batches) == 1:
            body = b"".join(damage[0](body.splitlines(keepends=True)))
        return status, body

    with meddled(bench.server, spoil) as url:
        with pytest.raises(FatalEndpointError, match="hold 2 replies"):
            bench.run(bench.recipe(url=url, count=1))
        damage[0] = lambda lines: [lines[0].replace(b'"stop"', b'"error"'), *lines[1:]]
        assert bench.run(bench.recipe(url=url, count=1)).ok == 3
    assert (bench.server.batch_lines, bench.server.repeats) == (9, 0)


def test_other_batches_go_on_while_one_waits_for_its_results(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(SHORT)
    recipe = bench.recipe(count=2, batch={"max_requests": 3})
    with pytest.raises(FatalEndpointError, match="for 3 requests"):
        bench.run(recipe)
    assert [record.state for record in bench.records()] == ["submitted", "harvested"]


def test_waiting_ends_by_the_clock_as_well(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(SHORT)
    slept: list[float] = []
    recipe = bench.recipe(count=2, batch={"results_polls": NEVER, "results_seconds": 1e-6})
    with pytest.raises(FatalEndpointError):
        bench.run(recipe, control=Hooked(lambda _, seconds: slept.append(seconds)))
    assert len(slept) == results.LEAST_POLLS - 1


def test_files_are_fetched_rarely_while_nothing_changes(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(SHORT)
    fetched: list[str] = []

    def count(_: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        fetched.extend([path] if path.endswith("/content") else [])
        return status, body

    with meddled(bench.server, count) as url, pytest.raises(FatalEndpointError):
        bench.run(bench.recipe(url=url, count=1, batch={"results_polls": 40, "poll_seconds": 0.0001}))
    assert len(fetched) == 7  # at the looks 1, 2, 4, 8, 16, 32, and at the last


def test_files_that_each_lack_something_else_are_whole_together(bench: BatchWorkspace) -> None:
    halves = [lambda lines: lines[:2], lambda lines: lines[1:]]

    def split(_: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/content") and halves:
            body = b"".join(halves.pop(0)(body.splitlines(keepends=True)))
        return status, body

    with meddled(bench.server, split) as url:
        assert bench.run(bench.recipe(url=url, count=1)).ok == 3
    assert (bench.server.batch_lines, bench.server.repeats) == (9, 0)


def test_a_run_killed_while_it_waits_for_results_pays_nothing_twice(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = first_batch(BatchFault(short_output=2, short_for=6))
    process = start(bench.recipe(count=2, batch={"results_polls": NEVER, "poll_seconds": 60}), bench.folder)
    journal = bench.folder / "shards/00000/journal.sqlite"
    wait_until(lambda: any(sum_replies(journal)) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert state_of(bench.folder, 1) == "submitted"
    assert read_status(RunFolder(bench.folder)).requests["total"] == 4  # what came is safe
    assert bench.run(bench.recipe(count=2, batch={"results_polls": NEVER})).ok == 6
    assert (bench.server.batch_lines, bench.server.repeats) == (18, 0)


def test_a_batch_that_is_not_known_yet_is_looked_for_again(bench: BatchWorkspace) -> None:
    unknown = [1, 2]

    def hide(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if method == "GET" and path.startswith("/v1/batches/") and unknown:
            unknown.pop()
            return 404, b"{}"
        return status, body

    with meddled(bench.server, hide) as url:
        assert bench.run(bench.recipe(url=url, count=1)).ok == 3
    assert bench.server.repeats == 0


def test_a_batch_whose_server_keeps_no_metadata_is_found_by_its_input_file(bench: BatchWorkspace) -> None:
    def forget(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        if not path.startswith("/v1/batches") or status != 200:
            return status, body
        if method == "POST":
            return 500, b"{}"
        return status, body.replace(b'"multifaceted"', b'"forgotten"')

    with meddled(bench.server, forget) as url:
        assert bench.run(bench.recipe(url=url, count=1, model={"retry_wait": 0.001})).ok == 3
    assert (len(bench.server.batches), bench.server.repeats) == (3, 0)


# As other servers write them

STYLES = ["text_body", "bare", "windows", "array"]


@pytest.mark.parametrize("style", STYLES)
def test_result_lines_of_other_servers_give_the_same_rows(bench: BatchWorkspace, style: Any) -> None:
    bench.server.batch_fault = lambda *_: BatchFault(line_style=style)
    data = bench.run(bench.recipe(count=1, variants=1))
    assert (data.ok, bench.server.batch_lines) == (1, 3)
    plain = BatchWorkspace(bench.server, bench.path / "plain")
    assert hashes(data) == hashes(plain.run(bench.live_recipe(count=1, variants=1)))


def test_errors_of_other_servers_keep_their_words(bench: BatchWorkspace) -> None:
    bench.server.batch_fault = lambda *_: BatchFault(expired_after=2, line_style="text_error")
    assert bench.run(bench.recipe(count=1, model={"max_attempts": 1})).failed == 1
    assert "could not be executed before" in bench.failures()[0].message


ONE = Answered('{"choices":[1]}')
LINES: dict[str, Any] = {
    '{"custom_id": 7, "response": {"status_code": 200.0, "body": {"choices": [1]}}}': Answered(
        '{"choices":[1]}'
    ),
    '{"custom_id": "7", "response": {"status_code": 0, "body": {"choices": [1]}}}': Answered(
        '{"choices":[1]}'
    ),
    '{"custom_id": "7", "body": {"choices": [1]}}': ONE,
    '{"custom_id": "7", "choices": [1]}': Answered('{"custom_id":"7","choices":[1]}'),
    '{"custom_id": "7", "response": {"choices": [1]}, "response": null}': ONE,
    '\ufeff{"custom_id": " 7 ", "response": {"choices": ["a\tb"]}}\r': Answered('{"choices":["a\\tb"]}'),
    '{"custom_id": "7", "response": {"choices": ["\\ud83d"]}}': Answered('{"choices":["\\ud83d"]}'),
    '{"custom_id": "7", "response": {"choices": [NaN, -1e999]}}': Answered('{"choices":[NaN,-Infinity]}'),
    f'{{"custom_id": "7", "response": {{"choices": [1{"0" * 9999}]}}}}': Answered('{"choices":[Infinity]}'),
    '{"custom_id": "7", "response": {"status_code": 200, "body": "<html>"}}': Answered("<html>"),
    '{"custom_id": "7", "response": {"status_code": 200, "body": "\\ud83d"}}': Answered('"\\ud83d"'),
    '{"custom_id": "7", "response": {"status_code": "429", "body": {}}}': Refused(429, "{}"),
    '{"custom_id": "7", "response": {"status_code": 400}, "error": {"message": "no seed"}}': Refused(
        400, '{"error":{"message":"no seed"}}'
    ),
    '{"custom_id": "7", "response": {"status_code": 200, "body": {"error": {"code": 402}}}}': Answered(
        '{"error":{"code":402}}'
    ),
    '{"custom_id": "7", "response": {"status_code": 200}, "error": {"code": 402}}': Refused(
        402, '{"error":{"code":402}}'
    ),
    '{"custom_id": "7", "response": null, "error": {"code": "403", "message": "no"}}': Refused(
        403, '{"error":{"code":"403","message":"no"}}'
    ),
    '{"custom_id": "7", "response": null, "error": "the worker died"}': Unanswered("", "the worker died"),
    '{"custom_id": "7", "error": {"code": "batch_expired", "message": ["x"]}}': Unanswered(
        "batch_expired", '["x"]'
    ),
    '{"custom_id": "7"}': Unanswered("", ""),
    '{"custom_id": "7", "response": {"status_code": true, "body": {}}}': Unanswered("", ""),
}


@pytest.mark.parametrize("number", range(len(LINES)))
def test_lines_are_read_however_a_server_writes_them(tmp_path: Path, number: int) -> None:
    text, expected = list(LINES.items())[number]
    file = tmp_path / "results"
    file.write_bytes(b"\n \r\n" + text.encode() + b"\n\n")
    [line] = read_lines(file)
    assert line.data is not None
    assert line.custom_id == "7"
    assert read_outcome(line.data) == expected


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (b'{"custom_id": "a"}{"custom_id": "b"}', ["a", "b"]),
        (b'[{"custom_id": "a"}, {"custom_id": "b"}]', ["a", "b"]),
        ('{"custom_id": "a"}\n{"custom_id": "b"}'.encode("utf-16"), ["a", "b"]),
        ('{"custom_id": "a", "x": "1\u20282\x853"}'.encode(), ["a"]),
        (b'{"custom_id": "a", "x": "\xff"}\n{"custom_id": "b", "x\n', ["a", ""]),
        (b'\xff\xfe{"custom_id": "a"}\ndata: {"custom_id": "b"}', ["a", "b"]),
        (b'7\n[1]\n"x"\nnull\n{"custom_id": [1]}\n' + b"[" * 100_000, [""] * 6),
        (b"", []),
    ],
)
def test_what_stands_on_a_line_is_told_apart(tmp_path: Path, content: bytes, ids: list[str]) -> None:
    file = tmp_path / "results"
    file.write_bytes(content)
    assert [line.custom_id for line in read_lines(file)] == ids


STATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"status": "COMPLETED"}, {"status": "completed", "completed": None}),
    ({"status": "JOB_STATE_SUCCEEDED"}, {"status": "completed"}),
    ({"status": "TIMEOUT_EXCEEDED"}, {"status": "expired"}),
    ({"status": "canceled"}, {"status": "cancelled"}),
    ({"status": "preparing"}, {"ended": False, "closing": False}),
    ({"status": "preparing", "output_file_id": "a"}, {"closing": False}),
    ({"status": "archived", "output_file_id": "a"}, {"ended": False, "closing": True}),
    ({"status": "archived", "total": 2, "completed": 2}, {"ended": False, "closing": True}),
    ({"status": "in_progress", "completed_at": 7}, {"ended": False, "closing": True}),
    ({"status": "completed", "error_file_id": "", "output_file_id": 7}, {"files": ("7",)}),
    ({"status": "completed", "output_file": "a", "error_file": "a"}, {"files": ("a",)}),
    (
        {"status": "done", "total": 5, "completed": "4", "failed": 1.0},
        {"completed": 4, "failed": 1, "total": 5},
    ),
    (
        {"status": "done", "request_counts": {"completed": -3, "failed": 1e999}},
        {"completed": None, "failed": None},
    ),
    ({"status": "done", "request_counts": {"failed": 2, "total": 6}}, {"completed": 4}),
    ({"status": "done", "request_counts": [1]}, {"completed": None}),
    ({"status": "failed", "errors": "no such model"}, {"fault": "no code: no such model"}),
    ({"status": "failed", "errors": ["a", "b"]}, {"fault": "no code: a; no code: b"}),
    ({"status": "failed", "errors": {"code": "x", "message": "y"}}, {"fault": "x: y"}),
    ({"status": "failed", "errors": {"data": 7}}, {"fault": "no code: 7"}),
]


@pytest.mark.parametrize("number", range(len(STATES)))
def test_batches_of_other_servers_are_understood(number: int) -> None:
    told, expected = STATES[number]
    state = read_state(json.dumps({"id": "b", **told}))
    assert {name: getattr(state, name) for name in expected} == expected


def make_state(status: str, **counts: int | None) -> Any:
    return read_state(json.dumps({"id": "b", "status": status, "request_counts": counts}))


@pytest.mark.parametrize(
    ("state", "found", "whole", "unanswered"),
    [
        (make_state("completed", completed=4), Found(4, 4, 0), True, True),
        (make_state("completed"), Found(4, 3, 1), True, False),
        (make_state("completed", completed=4), Found(4, 3, 0), False, False),
        (make_state("completed", completed=9), Found(4, 3, 0), False, False),
        (make_state("completed"), Found(4, 3, 0), False, False),
        (make_state("completed", completed=0, failed=0, total=4), Found(4, 0, 0), False, False),
        # The endpoint's own account: a request failed, or was never done.
        (make_state("completed", completed=3, failed=1), Found(4, 3, 0), False, True),
        (make_state("completed", completed=3, total=4), Found(4, 3, 0), False, True),
        (make_state("completed", completed=0, failed=4), Found(4, 0, 0), False, True),
        (make_state("cancelled", completed=3), Found(4, 3, 0), True, True),
        (make_state("cancelled", completed=0), Found(4, 0, 0), True, True),
        (make_state("cancelled", completed=3), Found(4, 2, 0), False, False),
        (make_state("expired"), Found(4, 2, 0), False, True),
        (make_state("finalizing", completed=4), Found(4, 4, 0), True, False),
        (make_state("finalizing", completed=2), Found(4, 2, 0), False, False),
    ],
)
def test_what_may_be_asked_again_is_what_the_endpoint_says_was_not_answered(
    state: Any, found: Found, *, whole: bool, unanswered: bool
) -> None:
    assert (is_whole(state, found), are_unanswered(state, found)) == (whole, unanswered)


# Refused alike


@pytest.mark.parametrize(
    ("status", "words"), [(400, "API key not valid. Request {}"), (404, "no model 'x', {}")]
)
def test_requests_that_are_all_refused_alike_stop_the_run_and_are_made_once_that_is_mended(
    bench: BatchWorkspace, status: int, words: str
) -> None:
    count = iter(range(1000))
    bench.server.fault = lambda _: Fault(
        status=status, text=json.dumps({"error": {"message": words.format(next(count))}})
    )
    recipe = bench.recipe(count=1, batch={"max_requests": 2})
    for _ in range(2):
        with pytest.raises(FatalEndpointError, match=words.partition(" {")[0]):
            bench.run(recipe)
    assert bench.failures() == []
    bench.server.fault = None
    assert bench.run(recipe).ok == 3


def test_a_refusal_of_some_stays_their_rows_affair(bench: BatchWorkspace) -> None:
    bench.server.fault = lambda body: Fault(status=400) if body["seed"] % 2 else None
    data = bench.run(bench.recipe(count=3))
    assert data.ok + data.failed == 9
    assert data.failed > 0
    assert {(f.kind, f.retryable) for f in bench.failures()} == {("request_rejected", False)}


# Bounds


def serve_instead(body: bytes, *, path: str, status: int = 200) -> Meddle:
    return lambda _, at, was, true: (
        (status, body) if at.startswith(path) or at.endswith(path) else (was, true)
    )


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_goes_on_and_on_is_not_read_to_its_end(
    bench: BatchWorkspace, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(bounded, "MAX_ANSWER", 1000)
    with (
        meddled(bench.server, serve_instead(b"x" * 5000, path="/v1/batches/b", status=status)) as url,
        pytest.raises(TransientEndpointError, match="larger than"),
    ):
        talk(url, lambda client: client.poll("b"))


@pytest.mark.parametrize(
    "body", [b"<html>busy</html>", b"data: {}\n\n", b'{"object": "list"}'], ids=["page", "events", "list"]
)
def test_an_answer_that_is_none_is_quoted(bench: BatchWorkspace, body: bytes) -> None:
    with (
        meddled(bench.server, serve_instead(body, path="/v1/batches/b")) as url,
        pytest.raises(TransientEndpointError) as caught,
    ):
        talk(url, lambda client: client.poll("b"))
    assert body.decode().strip() in caught.value.message
    assert caught.value.kind == "garbage"


def test_an_error_in_an_answer_of_status_200_is_one_and_shows_no_key(bench: BatchWorkspace) -> None:
    body = json.dumps({"error": {"code": 402, "message": f"no credits for {KEY}"}}).encode()
    with (
        meddled(bench.server, serve_instead(body, path="/v1/batches/b")) as url,
        pytest.raises(FatalEndpointError, match=r"402: no credits for \*\*\*"),
    ):
        talk(url, lambda client: client.poll("b"), key=KEY)


@pytest.mark.parametrize(("status", "is_late"), [(404, True), (409, True), (425, True), (403, False)])
def test_a_file_that_is_not_ready_is_told_from_one_that_is_refused(
    bench: BatchWorkspace, status: int, *, is_late: bool
) -> None:
    body = b'{"error": {"message": "not you, not now"}}'
    with meddled(bench.server, serve_instead(body, path="/v1/files/f", status=status)) as url:
        try:
            told = talk(url, lambda client: client.download("f", bench.path / "results", most=1000))
        except FatalEndpointError as error:
            assert not is_late
            told = error.message
    assert told == f"HTTP {status}: not you, not now"
    assert not (bench.path / "results").exists()


def test_results_larger_than_any_replies_could_be_stop_the_run(
    bench: BatchWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "MAX_RESULTS", 100)
    monkeypatch.setattr(results, "MAX_RESULT", 10)
    with pytest.raises(FatalEndpointError, match="larger than") as caught:
        bench.run(bench.recipe(count=1))
    assert "130 bytes" in caught.value.message
    assert state_of(bench.folder, 1) == "submitted"
    monkeypatch.undo()
    assert bench.run(bench.recipe(count=1)).ok == 3
    assert bench.server.repeats == 0
