"""The client of the Batch API: what endpoints answer in place of an answer, and what they say of batches."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import pytest
from openai import AsyncOpenAI

from multifaceted.batch import client as batches
from multifaceted.batch.client import ATTEMPTS, BatchClient
from multifaceted.batch.state import read_state
from multifaceted.errors import FatalEndpointError, InterruptedRunError, TransientEndpointError
from multifaceted.testing import BatchFault, ChatServer

Meddle = Callable[[str, str, int, bytes], tuple[int, bytes]]
_Answer = TypeVar("_Answer")
KEY = "sk-very-secret"
GARBAGE = [b"<html>busy</html>", b"[1, 2]", b"{}", b"null", b'"yes"', b"\xff\xfe", b"", b'{"id": 7}']


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


def talk(url: str, use: Callable[[BatchClient], Awaitable[_Answer]], *, key: str = "none") -> _Answer:
    async def run() -> _Answer:
        client = BatchClient(AsyncOpenAI(base_url=url, api_key=key), sleep=asyncio.sleep, first_wait=0.001)
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def submit(client: BatchClient, file: Path, tag: str = "tag", *, is_new: bool = False) -> str:
    return await client.create(await client.upload(file), tag=tag, window="24h", is_new=is_new)


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    file = tmp_path / "input.jsonl"
    file.write_text(json.dumps(line) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches", "GET of a batch"])
def test_garbage_in_place_of_an_answer_is_asked_for_again_and_no_batch_is_created_twice(
    server: ChatServer, input_file: Path, call: str, garbage: bytes
) -> None:
    spoiled: list[str] = []

    def spoil_twice(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        place = "of a batch" if path.startswith("/v1/batches/") else path
        if f"{method} {place}" != call or len(spoiled) == 2:
            return status, body
        spoiled.append(path)
        return status, garbage

    async def use(client: BatchClient) -> str:
        state = await client.poll(await submit(client, input_file))
        return state.status if state else "unknown"

    with meddled(server, spoil_twice) as url:
        assert talk(url, use) == "completed"
    # The second look into the list finds what the first, spoiled answer to the creation kept quiet about.
    assert len(spoiled) == (1 if call == "POST /v1/batches" else 2)
    assert len(server.batches) == 1


@pytest.mark.parametrize(("pages_end", "tag", "place"), [(True, "a", 0), (False, "e", 4), (False, "a", 5)])
def test_a_batch_is_found_by_its_tag_however_many_pages_there_are(
    server: ChatServer,
    input_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    pages_end: bool,
    tag: str,
    place: int,
) -> None:
    monkeypatch.setattr(batches, "PAGE", 2)
    first_page: list[bytes] = []

    def repeat(method: str, path: str, status: int, body: bytes) -> tuple[int, bytes]:
        """A server that knows no pages, though it says so."""
        if (method, path) != ("GET", "/v1/batches") or pages_end:
            return status, body
        first_page.append(body)
        return status, json.dumps({**json.loads(first_page[0]), "has_more": True}).encode()

    async def use(client: BatchClient) -> tuple[list[str], str]:
        created = [await submit(client, input_file, tag, is_new=True) for tag in "abcde"]
        return created, await submit(client, input_file, tag)

    with meddled(server, repeat) as url:
        created, found = talk(url, use)
    # Without pages only the newest are seen.
    assert [*created, found].index(found) == place
    assert len(server.batches) == max(5, place + 1)


def test_an_endpoint_that_only_says_too_many_requests_is_asked_a_few_times(input_file: Path) -> None:
    text = json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()
    with ChatServer() as server, meddled(server, lambda *_: (429, text)) as url:
        with pytest.raises(TransientEndpointError, match=r"slow down, \*\*\*") as caught:
            talk(url, lambda client: client.upload(input_file), key=KEY)
        assert server.statuses.total() == ATTEMPTS
    assert "run again" in caught.value.hint


def test_a_run_that_stops_ends_the_retries_at_once(server: ChatServer, input_file: Path) -> None:
    server.upload_errors = 100

    async def stop(_: float) -> None:
        raise InterruptedRunError("the run was interrupted")

    async def run() -> None:
        client = BatchClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), sleep=stop)
        with pytest.raises(InterruptedRunError):
            await client.upload(input_file)
        await client.close()

    asyncio.run(run())
    assert server.statuses.total() == 1


def test_what_the_endpoint_does_not_know_is_told_apart_from_what_it_refuses(
    server: ChatServer, tmp_path: Path
) -> None:
    file = tmp_path / "results"
    assert talk(server.base_url, lambda client: client.poll("batch_gone")) is None
    gone = talk(server.base_url, lambda client: client.download("file-gone", file, most=1000))
    assert gone == "HTTP 404: No such File object: file-gone"
    assert not file.exists()
    with pytest.raises(FatalEndpointError, match="Invalid value") as caught:
        talk(server.base_url, lambda client: client.create("file-gone", tag="t", window="7d", is_new=True))
    assert "does this endpoint have the Batch API?" in caught.value.hint


def test_the_key_is_in_nobodys_words(server: ChatServer, input_file: Path) -> None:
    server.batch_fault = lambda *_: BatchFault(failed_with=f"no such key: {KEY}")

    async def use(client: BatchClient) -> str:
        state = await client.poll(await submit(client, input_file))
        return f"{state} {client!r}"

    shown = talk(server.base_url, use, key=KEY)
    assert "no such key: ***" in shown
    assert KEY not in shown
    server.api_key = "another"
    with pytest.raises(FatalEndpointError, match="HTTP 401") as caught:
        talk(server.base_url, use, key=KEY)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "fault", "queue_is_full"),
    [
        ({"status": "in_progress", "request_counts": None, "errors": None, "metadata": None}, "", False),
        ({"status": "in_progress", "request_counts": {"total": None}}, "", False),
        ({"status": "failed"}, "no reason given", False),
        ({"status": "failed", "errors": {"data": [{"code": None}]}}, "no code: no reason given", False),
        ({"status": "failed", "errors": {"data": [{"code": "token_limit_exceeded"}]}}, "token_limit", True),
        ({"status": "expired", "errors": {"data": [{"code": "token_limit_exceeded"}]}}, "", False),
    ],
)
def test_states_are_read_whatever_fields_an_endpoint_leaves_out(
    fields: dict[str, Any], fault: str, *, queue_is_full: bool
) -> None:
    state = read_state(json.dumps({"id": "batch_1", **fields}))
    assert state.fault.startswith(fault)
    assert bool(state.fault) == bool(fault)
    assert (state.done, state.total, state.files) == (0, None, ())
    assert state.queue_is_full == queue_is_full
    assert state.ended == (fields["status"] != "in_progress")


def test_a_redirect_to_another_server_is_not_followed(tmp_path: Path) -> None:
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, ThreadingHTTPServer)
            seen.append(f"{self.server.server_port}{self.path}")
            is_first = self.path.startswith("/v1") and len(seen) == 1
            self.send_response(307)
            self.send_header(
                "Location", "/v1/again" if is_first else f"http://localhost:{other.server_port}/v1/x"
            )
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as first,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other,
    ):
        threads = [threading.Thread(target=server.serve_forever, args=[0.01]) for server in (first, other)]
        for thread in threads:
            thread.start()
        try:
            with pytest.raises(FatalEndpointError, match="HTTP 307"):
                talk(
                    f"http://127.0.0.1:{first.server_port}/v1", lambda client: client.poll("batch_1"), key=KEY
                )
        finally:
            for server in (first, other):
                server.shutdown()
            for thread in threads:
                thread.join()
    assert seen == [f"{first.server_port}/v1/batches/batch_1", f"{first.server_port}/v1/again"]
