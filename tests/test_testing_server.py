"""The public test server, driven by the real `openai` SDK: limits, files, batches and how they go wrong."""

import asyncio
import errno
import json
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch, FileObject
from openai.types.chat import ChatCompletion

from multifaceted.testing import BatchFault, ChatServer, Fault, batch_life, make_reply
from multifaceted.testing.files import FileStore
from multifaceted.testing.limits import TokenBucket, format_duration
from multifaceted.testing.replies import Answer

ENDPOINT: Final = "/v1/chat/completions"
T = TypeVar("T")


def talk(server: ChatServer, do: Callable[[AsyncOpenAI], Awaitable[T]], *, key: str = "none") -> T:
    async def main() -> T:
        async with AsyncOpenAI(base_url=server.base_url, api_key=key, max_retries=0, timeout=5) as client:
            return await do(client)

    return asyncio.run(main())


def make_body(number: int = 0, *, model: str = "m") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"Question {number}"}], "seed": number}


def make_line(number: int, **changes: Any) -> dict[str, Any]:
    line = {"custom_id": f"r{number}", "method": "POST", "url": ENDPOINT, "body": make_body(number)}
    return {**line, **changes}


def make_file(count: int) -> bytes:
    return join_lines(make_line(number) for number in range(count))


def join_lines(lines: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


async def ask(client: AsyncOpenAI, number: int = 0) -> ChatCompletion:
    reply: ChatCompletion = await client.chat.completions.create(**make_body(number))
    return reply


async def upload(client: AsyncOpenAI, content: bytes) -> FileObject:
    return await client.files.create(file=("requests.jsonl", content), purpose="batch")


async def create(client: AsyncOpenAI, content: bytes, **metadata: str) -> Batch:
    return await post_batch(client, (await upload(client, content)).id, **metadata)


async def post_batch(client: AsyncOpenAI, file_id: str, **metadata: str) -> Batch:
    return await client.batches.create(
        input_file_id=file_id,
        endpoint=ENDPOINT,
        completion_window="24h",
        metadata=metadata or None,
    )


async def read_lines(client: AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(line) for line in (await client.files.content(file_id)).text.splitlines()]


def run_batch(server: ChatServer, content: bytes) -> tuple[Batch, list[dict[str, Any]], list[dict[str, Any]]]:
    """The batch at its first poll, the lines of its output file and those of its error file."""

    async def do(client: AsyncOpenAI) -> tuple[Batch, list[dict[str, Any]], list[dict[str, Any]]]:
        batch = await client.batches.retrieve((await create(client, content)).id)
        output = await read_lines(client, batch.output_file_id)
        return batch, output, await read_lines(client, batch.error_file_id)

    return talk(server, do)


def run_faulty(fault: BatchFault, count: int = 5) -> tuple[Batch, list[dict[str, Any]], list[dict[str, Any]]]:
    with ChatServer(batch_fault=lambda number, body: fault) as server:
        return run_batch(server, make_file(count))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Host:
    batch_seconds = 10.0
    batch_max_requests = 100
    batch_max_bytes = 100_000
    upload_errors = 0


def open_batch(clock: Clock, count: int) -> batch_life.Batch:
    """A batch with a clock of ours; each of its states lasts 10 seconds."""
    host = Host()
    files = FileStore(host)
    file_id = files.add(make_file(count), purpose="batch", filename="requests.jsonl")
    body = {"input_file_id": file_id, "endpoint": ENDPOINT, "completion_window": "24h"}
    return batch_life.Batch(
        body, fault=BatchFault(), host=host, files=files, answer=lambda body: Answer(200, {}), clock=clock
    )


def ids_of(lines: list[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]


# Live requests


def test_a_reply_is_a_whole_completion_for_the_sdk(server: ChatServer) -> None:
    reply = talk(server, ask)
    ChatCompletion.model_validate(reply.model_dump())
    assert reply.choices[0].message.content == make_reply(make_body())
    assert server.statuses == {200: 1}


def test_usage_reports_cached_and_reasoning_tokens_where_asked_to() -> None:
    with ChatServer() as server:
        plain = talk(server, ask).usage
        server.cached_tokens, server.reasoning_tokens = 3, 40
        usage = talk(server, ask).usage
    assert plain is not None
    assert usage is not None
    assert (plain.prompt_tokens_details, plain.completion_tokens_details) == (None, None)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 40
    assert usage.completion_tokens == plain.completion_tokens + 40
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_port_that_is_taken_is_told_at_once_and_leaves_nothing_behind(server: ChatServer) -> None:
    threads = threading.active_count()
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}: Address already in use") as caught:
        ChatServer(port=server.port).__enter__()
    assert caught.value.errno == errno.EADDRINUSE
    assert threading.active_count() == threads
    talk(server, ask)  # which goes on


def test_a_request_without_messages_is_refused(server: ChatServer) -> None:
    with pytest.raises(openai.BadRequestError, match="messages"):
        talk(server, lambda client: client.post("/chat/completions", body={"model": "m"}, cast_to=object))


def test_answers_are_counted_by_status_and_dropped_connections_are_none() -> None:
    faults = iter([Fault(status=503), Fault(drop=True), None])

    async def ask_four_times(client: AsyncOpenAI) -> None:
        with pytest.raises(openai.InternalServerError):
            await ask(client)
        with pytest.raises(openai.APIConnectionError):
            await ask(client)
        await ask(client)
        with pytest.raises(openai.NotFoundError):
            await client.models.list()

    with ChatServer(fault=lambda body: next(faults)) as server:
        talk(server, ask_four_times)
        assert server.statuses == {503: 1, 200: 1, 404: 1}


def test_a_wrong_key_is_refused_by_every_part_of_the_server() -> None:
    async def try_all(client: AsyncOpenAI) -> None:
        for attempt in (ask(client), upload(client, b"{}"), client.batches.retrieve("batch_1")):
            with pytest.raises(openai.AuthenticationError):
                await attempt

    with ChatServer(api_key="right") as server:
        talk(server, try_all, key="wrong")
        assert server.statuses == {401: 3}
        assert server.keys == {"wrong": 3}
        assert talk(server, ask, key="right").choices


# Rate limits


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.02, "20ms"),
        (0.9999, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (360, "6m0s"),
        (3661, "1h1m1s"),
    ],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_bucket_starts_full_and_fills_at_the_pace_of_its_limit() -> None:
    now = 0.0
    bucket = TokenBucket(5.0, clock=lambda: now)
    bucket.refill(60)
    assert (bucket.remaining, bucket.seconds_to_full) == (5, 0)
    bucket.spend(4)
    assert (bucket.holds(1), bucket.holds(2), bucket.seconds_to_full) == (True, False, 4)
    now = 1.0
    bucket.refill(60)
    assert bucket.holds(2)
    now = 100.0
    bucket.refill(60)
    assert bucket.remaining == 5


def test_a_cost_beyond_the_bucket_is_let_in_when_it_is_full_and_paid_off_later() -> None:
    now = 0.0
    bucket = TokenBucket(1.0, clock=lambda: now)
    bucket.refill(60)
    assert bucket.holds(10)
    bucket.spend(10)
    now = 9.0
    bucket.refill(60)
    assert (bucket.holds(1), bucket.remaining) == (False, 0)
    now = 10.0
    bucket.refill(60)
    assert bucket.holds(10)


def test_a_bucket_without_a_limit_never_runs_dry_and_one_of_zero_holds_nothing() -> None:
    bucket = TokenBucket(1.0, clock=lambda: 0.0)
    bucket.refill(None)
    bucket.spend(1e9)
    assert bucket.holds(1e9)
    bucket.refill(60)
    assert bucket.holds(1)
    bucket.refill(0)
    assert not bucket.holds(1)


def test_requests_beyond_the_limit_get_429_and_are_not_paid_for() -> None:
    async def ask_often(client: AsyncOpenAI) -> None:
        await asyncio.gather(*(ask(client, number) for number in range(100)), return_exceptions=True)

    with ChatServer(requests_per_minute=600) as server:
        talk(server, ask_often)
        assert server.statuses[200] + server.statuses[429] == 100
        assert 10 <= server.statuses[200] < 60  # one second's worth, and what came in meanwhile
        assert server.paid.total() == server.statuses[200]


def test_a_429_says_what_was_exceeded_and_how_long_to_wait() -> None:
    with ChatServer(requests_per_minute=0, retry_after=1.5) as server:
        with pytest.raises(openai.RateLimitError, match="requests per min") as caught:
            talk(server, ask)
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["retry-after-ms"] == "1500"
        assert caught.value.response.headers["retry-after"] == "2"
        server.retry_after = None
        with pytest.raises(openai.RateLimitError) as silent:
            talk(server, ask)
        assert not {"retry-after-ms", "retry-after"} & set(silent.value.response.headers)


def test_tokens_beyond_the_limit_get_429() -> None:
    async def ask_twice(client: AsyncOpenAI) -> None:
        await ask(client, 1)  # more than the bucket holds, but it is full
        with pytest.raises(openai.RateLimitError, match="tokens per min"):
            await ask(client, 2)

    with ChatServer(tokens_per_minute=60) as server:
        talk(server, ask_twice)
        server.tokens_per_minute = None
        talk(server, ask)


def test_a_limit_changed_in_mid_run_holds_at_once() -> None:
    with ChatServer() as server:
        talk(server, ask)
        server.requests_per_minute = 0
        with pytest.raises(openai.RateLimitError):
            talk(server, ask)
        server.requests_per_minute = 60_000_000
        talk(server, ask)


def test_headers_tell_the_limits_that_are_set_and_what_is_left_of_them() -> None:
    async def read_headers(client: AsyncOpenAI) -> dict[str, str]:
        headers = (await client.chat.completions.with_raw_response.create(**make_body())).headers
        prefix = "x-ratelimit-"
        return {name.removeprefix(prefix): headers[name] for name in headers if name.startswith(prefix)}

    with ChatServer(requests_per_minute=3000, tokens_per_minute=1_200_000) as server:
        headers = talk(server, read_headers)
        server.tokens_per_minute = None
        without_tokens = talk(server, read_headers)
        server.limit_headers = False
        assert talk(server, read_headers) == {}
    assert set(without_tokens) == {"limit-requests", "remaining-requests", "reset-requests"}
    assert (headers["limit-requests"], headers["limit-tokens"]) == ("3000", "1200000")
    assert (headers["remaining-requests"], headers["reset-requests"]) == ("49", "20ms")
    usage = talk_usage(make_body())
    assert headers["remaining-tokens"] == str(100_000 - usage)
    assert headers["reset-tokens"] == f"{round(usage / 20)}ms"


def talk_usage(body: dict[str, Any]) -> int:
    return len(json.dumps(body["messages"])) // 4 + len(make_reply(body)) // 4


# Files


def test_a_file_can_be_uploaded_read_listed_and_deleted(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> None:
        file = await upload(client, b"one\ntwo\n")
        FileObject.model_validate(file.model_dump())
        assert (file.bytes, file.purpose, file.filename) == (8, "batch", "requests.jsonl")
        assert await client.files.retrieve(file.id) == file
        assert (await client.files.content(file.id)).content == b"one\ntwo\n"
        assert [entry.id async for entry in client.files.list(purpose="batch")] == [file.id]
        assert [entry.id async for entry in client.files.list(purpose="vision")] == []
        assert (await client.files.delete(file.id)).deleted
        for attempt in (
            client.files.retrieve(file.id),
            client.files.content(file.id),
            client.files.delete(file.id),
        ):
            with pytest.raises(openai.NotFoundError, match=file.id):
                await attempt

    talk(server, do)


def test_files_are_listed_newest_first_and_page_by_page(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> None:
        ids = [(await upload(client, b"x")).id for _ in range(5)]
        assert [file.id async for file in client.files.list(limit=2)] == ids[::-1]
        assert [file.id async for file in client.files.list(limit=2, order="asc")] == ids

    talk(server, do)


def test_only_files_for_batches_are_taken(server: ChatServer) -> None:
    with pytest.raises(openai.BadRequestError, match="purpose"):
        talk(server, lambda client: client.files.create(file=("a.txt", b"x"), purpose="vision"))


def test_uploads_fail_as_often_as_asked() -> None:
    async def do(client: AsyncOpenAI) -> None:
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                await upload(client, b"x")
        await upload(client, b"x")

    with ChatServer(upload_errors=2) as server:
        talk(server, do)
        assert server.statuses == {500: 2, 200: 1}


# Batches


def test_a_batch_gives_the_replies_of_live_requests_and_is_paid_for_like_them(server: ChatServer) -> None:
    batch, output, errors = run_batch(server, make_file(3))

    async def ask_live(client: AsyncOpenAI) -> list[dict[str, Any]]:
        raw = client.chat.completions.with_raw_response
        return [json.loads((await raw.create(**make_body(number))).text) for number in range(3)]

    assert server.repeats == 0
    assert (server.paid.total(), server.batch_lines, server.bodies) == (3, 3, [])
    live = talk(server, ask_live)
    assert server.repeats == 3
    by_id = {line["custom_id"]: line for line in output}
    assert [by_id[f"r{number}"]["response"]["body"] for number in range(3)] == live
    assert errors == []
    assert batch.status == "completed"


def test_a_completed_batch_has_the_shape_that_openai_gives_it() -> None:
    with ChatServer(cached_tokens=2, reasoning_tokens=5) as server:
        batch, output, _ = run_batch(server, make_file(3))
        assert server.batches == [batch.model_dump()]
    Batch.model_validate(batch.model_dump())
    assert batch.error_file_id is None
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 3, "completed": 3, "failed": 0}
    assert batch.model == "m"
    assert batch.completed_at is not None
    usages = [line["response"]["body"]["usage"] for line in output]
    assert batch.usage is not None
    assert batch.usage.total_tokens == sum(usage["total_tokens"] for usage in usages)
    assert batch.usage.input_tokens_details.cached_tokens == 6
    assert batch.usage.output_tokens_details.reasoning_tokens == 15
    assert [set(line) for line in output] == [{"id", "custom_id", "response", "error"}] * 3
    assert [set(line["response"]) for line in output] == [{"status_code", "request_id", "body"}] * 3
    assert all(line["error"] is None and line["response"]["status_code"] == 200 for line in output)
    assert ids_of(output) == ["r2", "r1", "r0"]


def test_a_batch_goes_through_its_states_and_answers_its_lines_in_time() -> None:
    clock = Clock()

    async def watch() -> list[tuple[str, int, int]]:
        batch, seen = open_batch(clock, 10), []
        for clock.now in (0, 9, 10, 13, 19, 20, 29, 30):
            await batch.advance()
            counts = batch.shown["request_counts"]
            seen.append((batch.shown["status"], counts["completed"], counts["total"]))
        return seen

    assert asyncio.run(watch()) == [
        *[("validating", 0, 0)] * 2,
        ("in_progress", 0, 10),
        ("in_progress", 3, 10),
        ("in_progress", 9, 10),
        *[("finalizing", 10, 10)] * 2,
        ("completed", 10, 10),
    ]


def test_a_client_sees_a_batch_through_to_its_end() -> None:
    async def watch(client: AsyncOpenAI) -> list[str]:
        batch = await create(client, make_file(10))
        states: list[str] = [batch.status]
        while batch.status != "completed":
            await asyncio.sleep(0.01)
            batch = await client.batches.retrieve(batch.id)
            states.append(batch.status)
        return states

    order = ["validating", "in_progress", "finalizing", "completed"]
    with ChatServer(batch_seconds=0.05) as server:
        states = [order.index(state) for state in talk(server, watch)]
    assert states == sorted(states)
    assert states[0] == 0


def test_a_batch_that_is_held_goes_on_when_the_server_is_told_to() -> None:
    async def do(client: AsyncOpenAI) -> None:
        batch = await create(client, make_file(2))
        assert batch.status == (await client.batches.retrieve(batch.id)).status == "validating"
        server.batch_seconds = 0
        assert (await client.batches.retrieve(batch.id)).status == "completed"

    with ChatServer(batch_seconds=60) as server:
        talk(server, do)


def test_batches_are_listed_newest_first_and_page_by_page(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> None:
        ids = [(await create(client, make_file(1), part=str(part))).id for part in range(5)]
        first = await client.batches.list(limit=2)
        assert [batch.id for batch in first.data] == ids[:-3:-1]
        assert first.has_more
        found = [batch async for batch in client.batches.list(limit=2)]
        assert [batch.id for batch in found] == ids[::-1]
        assert [batch.metadata for batch in found[:2]] == [{"part": "4"}, {"part": "3"}]
        assert not (await client.batches.list(limit=5)).has_more
        with pytest.raises(openai.BadRequestError, match="limit"):
            await client.batches.list(limit=101)
        with pytest.raises(openai.BadRequestError, match="after"):
            await client.batches.list(after="batch_unknown")

    talk(server, do)


def test_an_unknown_batch_is_not_found(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> None:
        for attempt in (client.batches.retrieve("batch_1"), client.batches.cancel("batch_1")):
            with pytest.raises(openai.NotFoundError, match="batch_1"):
                await attempt

    talk(server, do)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"input_file_id": None}, "input_file_id"),
        ({"endpoint": "/v1/embeddings"}, "embeddings"),
        ({"completion_window": "1h"}, "24h"),
        ({"metadata": {"key": "x" * 513}}, "metadata"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
    ],
)
def test_a_batch_that_is_asked_for_wrongly_is_not_created(
    server: ChatServer, changes: dict[str, Any], match: str
) -> None:
    body = {"input_file_id": "file-1", "endpoint": ENDPOINT, "completion_window": "24h", **changes}
    with pytest.raises(openai.BadRequestError, match=match):
        talk(server, lambda client: client.post("/batches", body=body, cast_to=object))
    assert server.batches == []


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"\n\n", [("empty_file", None)]),
        (make_file(6), [("maximum_requests_exceeded", None)]),
        (b" " * 2001, [("maximum_input_file_size_exceeded", None)]),
        (make_file(1) + b"no JSON\n\n[]\n", [("invalid_json_line", 2), ("invalid_request", 4)]),
        (make_file(2) + make_file(2), [("duplicate_custom_id", 3), ("duplicate_custom_id", 4)]),
        (join_lines([make_line(0), make_line(1, url="/v1/completions")]), [("invalid_url", 2)]),
        (join_lines([make_line(0), make_line(1, body=make_body(1, model="n"))]), [("mismatched_model", 2)]),
        (join_lines([make_line(0, method="GET")]), [("invalid_request", 1)]),
    ],
)
def test_a_file_that_openai_would_refuse_gives_a_failed_batch(
    content: bytes, problems: list[tuple[str, int | None]]
) -> None:
    with ChatServer(batch_max_requests=5, batch_max_bytes=2000) as server:
        batch, output, errors = run_batch(server, content)
        assert server.paid.total() == 0
    assert (batch.status, output, errors) == ("failed", [], [])
    assert batch.failed_at is not None
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert [(problem.code, problem.line) for problem in batch.errors.data] == problems


def test_a_batch_of_a_deleted_file_fails(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> Batch:
        return await client.batches.retrieve((await post_batch(client, "file-unknown")).id)

    batch = talk(server, do)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert batch.errors.data is not None
    assert batch.errors.data[0].code == "file_not_found"


def test_faults_of_requests_befall_the_lines_of_a_batch() -> None:
    faults = {
        0: Fault(status=400),
        1: Fault(content="other words"),
        2: Fault(refusal="I will not."),
        3: Fault(finish_reason="length"),
        4: Fault(drop=True, hang=60),
    }
    with ChatServer(fault=lambda body: faults[body["seed"]], refuse=("top_k",)) as server:
        refused = make_line(5, body={**make_body(5), "top_k": 3})
        speechless = make_line(6, body={"model": "m"})
        batch, output, errors = run_batch(server, make_file(5) + join_lines([refused, speechless]))
        assert server.paid.total() == 4
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 7, "completed": 4, "failed": 3}
    choices = {line["custom_id"]: line["response"]["body"]["choices"][0] for line in output}
    assert choices["r1"]["message"]["content"] == "other words"
    assert choices["r2"]["message"]["refusal"] == "I will not."
    assert choices["r3"]["finish_reason"] == "length"
    assert choices["r4"]["message"]["content"] == make_reply(make_body(4))
    assert ids_of(errors) == ["r6", "r5", "r0"]
    assert [line["response"]["status_code"] for line in errors] == [400] * 3
    assert "top_k" in errors[1]["response"]["body"]["error"]["message"]
    assert errors[2]["error"] is None


def test_batches_are_not_held_to_the_limits_of_live_requests() -> None:
    with ChatServer(requests_per_minute=0, tokens_per_minute=0) as server:
        batch, _, _ = run_batch(server, make_file(3))
    assert batch.status == "completed"


# Cancelling


def test_a_batch_that_is_cancelled_keeps_what_was_answered() -> None:
    clock = Clock()

    async def cancel_half_way() -> dict[str, Any]:
        batch = open_batch(clock, 10)
        clock.now = 14
        assert await batch.cancel()
        assert batch.shown["status"] == "cancelling"
        clock.now = 20
        assert await batch.cancel()  # asking twice changes nothing
        clock.now = 24
        await batch.advance()
        assert not await batch.cancel()
        return batch.shown

    shown = asyncio.run(cancel_half_way())
    assert (shown["status"], shown["error_file_id"]) == ("cancelled", None)
    assert shown["request_counts"] == {"total": 10, "completed": 4, "failed": 0}
    assert None not in (shown["output_file_id"], shown["cancelling_at"], shown["cancelled_at"])


@pytest.mark.parametrize(("fault", "answered"), [(None, 0), (BatchFault(cancelled_after=2), 2)])
def test_how_much_was_answered_before_a_cancel_can_be_set(fault: BatchFault | None, answered: int) -> None:
    async def do(client: AsyncOpenAI) -> list[dict[str, Any]]:
        batch = await create(client, make_file(5))
        await client.batches.cancel(batch.id)
        server.batch_seconds = 0
        batch = await client.batches.retrieve(batch.id)
        assert batch.status == "cancelled"
        return await read_lines(client, batch.output_file_id)

    with ChatServer(batch_seconds=60, batch_fault=lambda number, body: fault) as server:
        assert sorted(ids_of(talk(server, do))) == [f"r{number}" for number in range(answered)]


def test_a_batch_that_is_done_cannot_be_cancelled(server: ChatServer) -> None:
    async def do(client: AsyncOpenAI) -> None:
        batch = await create(client, make_file(1))
        with pytest.raises(openai.ConflictError, match="'completed'"):
            await client.batches.cancel(batch.id)

    talk(server, do)


# Batches that misbehave


def test_batch_faults_are_asked_with_the_number_and_the_body_of_each_batch() -> None:
    asked: list[tuple[int, Any]] = []

    def misbehave(number: int, body: dict[str, Any]) -> BatchFault | None:
        asked.append((number, body["metadata"]["part"]))
        return BatchFault(failed_with="token_limit_exceeded") if number == 1 else None

    async def do(client: AsyncOpenAI) -> list[str]:
        for part in range(3):
            await create(client, make_file(1), part=str(part))
        return [batch.status async for batch in client.batches.list()]

    with ChatServer(batch_fault=misbehave) as server:
        assert talk(server, do) == ["completed", "failed", "completed"]
        assert [batch["status"] for batch in server.batches] == ["completed", "failed", "completed"]
        [problem] = server.batches[1]["errors"]["data"]
        assert (problem["code"], server.paid.total(), server.batch_lines) == ("token_limit_exceeded", 2, 3)
    assert asked == [(0, "0"), (1, "1"), (2, "2")]


def test_results_come_in_an_order_of_their_own() -> None:
    names = [f"r{number}" for number in range(20)]
    assert ids_of(run_faulty(BatchFault(), 20)[1]) == names[::-1]
    assert ids_of(run_faulty(BatchFault(order="kept"), 20)[1]) == names
    shuffled = ids_of(run_faulty(BatchFault(order="shuffled"), 20)[1])
    assert sorted(shuffled) == sorted(names)
    assert shuffled not in (names, names[::-1])


def test_an_expired_batch_says_so_for_each_line_it_did_not_answer() -> None:
    batch, output, errors = run_faulty(BatchFault(expired_after=2))
    assert batch.status == "expired"
    assert batch.expired_at is not None
    assert ids_of(output) == ["r1", "r0"]
    assert ids_of(errors) == ["r4", "r3", "r2"]
    assert [(line["response"], line["error"]["code"]) for line in errors] == [(None, "batch_expired")] * 3
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 5, "completed": 2, "failed": 3}


def test_a_batch_cancelled_by_the_server_leaves_the_other_lines_out() -> None:
    batch, output, errors = run_faulty(BatchFault(cancelled_after=2))
    assert (batch.status, ids_of(output), errors) == ("cancelled", ["r1", "r0"], [])


def test_a_batch_may_expire_or_be_cancelled_before_any_line() -> None:
    expired, output, errors = run_faulty(BatchFault(expired_after=0))
    assert (expired.status, expired.output_file_id, output, len(errors)) == ("expired", None, [], 5)
    cancelled, output, errors = run_faulty(BatchFault(cancelled_after=0))
    assert (cancelled.status, output, errors) == ("cancelled", [], [])


def test_every_line_of_a_completed_batch_may_have_failed() -> None:
    with ChatServer(batch_fault=lambda number, body: BatchFault(line_status=503)) as server:
        batch, output, errors = run_batch(server, make_file(3))
        assert server.paid.total() == 0
    assert (batch.status, batch.output_file_id, output) == ("completed", None, [])
    assert [line["response"]["status_code"] for line in errors] == [503] * 3
    assert "error" in errors[0]["response"]["body"]


def test_lines_may_be_missing_doubled_or_renamed() -> None:
    _, output, errors = run_faulty(BatchFault(missing=(0, 1), duplicated=(2,), renamed=(4,)))
    assert Counter(ids_of(output)) == {"r2": 2, "r3": 1, "unknown-4": 1}
    assert errors == []


def test_a_line_may_be_no_json() -> None:
    async def do(client: AsyncOpenAI) -> list[str]:
        batch = await client.batches.retrieve((await create(client, make_file(3))).id)
        assert batch.output_file_id is not None
        return (await client.files.content(batch.output_file_id)).text.splitlines()

    with ChatServer(batch_fault=lambda number, body: BatchFault(garbled=(1,))) as server:
        first, garbled, last = talk(server, do)
        assert server.paid.total() == 3
    assert (json.loads(first)["custom_id"], json.loads(last)["custom_id"]) == ("r2", "r0")
    assert garbled.startswith("{")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(garbled)


def test_polls_fail_as_often_as_asked_and_the_list_does_not() -> None:
    async def do(client: AsyncOpenAI) -> None:
        batch = await create(client, make_file(1))
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                await client.batches.retrieve(batch.id)
        assert [found.id async for found in client.batches.list()] == [batch.id]
        assert (await client.batches.retrieve(batch.id)).status == "completed"

    with ChatServer(batch_fault=lambda number, body: BatchFault(poll_errors=2)) as server:
        talk(server, do)


@pytest.mark.parametrize(
    ("status", "error"), [(500, openai.InternalServerError), (429, openai.RateLimitError)]
)
def test_creating_fails_as_often_as_asked(status: int, error: type[openai.APIStatusError]) -> None:
    async def do(client: AsyncOpenAI) -> None:
        file_id = (await upload(client, make_file(1))).id
        for _ in range(2):
            with pytest.raises(error) as caught:
                await post_batch(client, file_id)
            assert ("retry-after-ms" in caught.value.response.headers) == (status == 429)
        assert server.batches == []
        batch = await post_batch(client, file_id)
        assert (await client.batches.retrieve(batch.id)).status == "completed"

    fault = BatchFault(create_errors=2, create_status=status)
    with ChatServer(batch_fault=lambda number, body: fault if number == 0 else None) as server:
        talk(server, do)
        assert (len(server.batches), server.batch_lines) == (1, 1)


def test_creating_may_fail_though_the_batch_is_there() -> None:
    async def do(client: AsyncOpenAI) -> None:
        file_id = (await upload(client, make_file(2))).id
        with pytest.raises(openai.InternalServerError):
            await post_batch(client, file_id, part="0")
        [found] = [batch async for batch in client.batches.list()]
        assert (found.input_file_id, found.metadata, found.status) == (file_id, {"part": "0"}, "completed")
        await post_batch(client, file_id, part="0")  # without looking, it is paid for twice
        await client.batches.list()

    fault = BatchFault(create_errors=1, create_anyway=True)
    with ChatServer(batch_fault=lambda number, body: fault if number == 0 else None) as server:
        talk(server, do)
        assert (len(server.batches), server.batch_lines, server.repeats) == (2, 4, 2)


def test_every_failed_try_may_have_created_a_batch() -> None:
    async def do(client: AsyncOpenAI) -> None:
        file_id = (await upload(client, make_file(1))).id
        for _ in range(3):
            with pytest.raises(openai.InternalServerError):
                await post_batch(client, file_id)
        await post_batch(client, file_id)

    fault = BatchFault(create_errors=3, create_anyway=True)
    with ChatServer(batch_fault=lambda number, body: fault if number == 0 else None) as server:
        talk(server, do)
        assert len(server.batches) == 4


def test_results_come_after_as_many_errors_and_broken_connections_as_asked() -> None:
    async def do(client: AsyncOpenAI) -> None:
        batch = await client.batches.retrieve((await create(client, make_file(200))).id)
        assert batch.output_file_id is not None
        for error in (openai.InternalServerError, openai.APIConnectionError, openai.APIConnectionError):
            with pytest.raises(error):
                await client.files.content(batch.output_file_id)
        assert len(await read_lines(client, batch.output_file_id)) == 200

    with ChatServer(batch_fault=lambda number, body: BatchFault(content_errors=1, content_drops=2)) as server:
        talk(server, do)
