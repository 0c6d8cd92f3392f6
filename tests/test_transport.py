"""The two ways of sending: what holds for one holds for the other, down to headers, errors and secrets."""

import asyncio
import base64
import gzip
import json
import logging
import ssl
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from multidict import CIMultiDict
from openai import AsyncAzureOpenAI, AsyncOpenAI, DefaultAsyncHttpxClient

from multifaceted.chat.content import MAX_REFUSAL, MAX_REPLY
from multifaceted.chat.live import LiveClient
from multifaceted.chat.policy import translate_refusal
from multifaceted.chat.transport import (
    HttpAnswer,
    LeanTransport,
    SdkTransport,
    Transport,
    choose_transport,
)
from multifaceted.errors import (
    FatalEndpointError,
    MultifacetedError,
    RejectedRequestError,
    SetupError,
    TransientEndpointError,
)
from multifaceted.records import Message, Request
from multifaceted.testing import ChatServer, Fault

_T = TypeVar("_T")
Kind = type[LeanTransport] | type[SdkTransport]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # loading whom to trust takes longer than an exchange
KEY = "sk-this-key-is-a-secret"
BODY: dict[str, Any] = {
    "model": "some-model",
    "messages": [{"role": "user", "content": 'Why? Ünïcödé 😀 \u2028 \x00 " \\ </script>'}],
    "temperature": 0.7,
    "top_p": 1e-07,
    "max_tokens": 1024,
    "seed": 2**62,
    "response_format": {"type": "json_schema", "json_schema": {"strict": True, "schema": {"a": [None]}}},
}
ENVIRONMENT = (
    *("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL", "OPENAI_CUSTOM_HEADERS"),
    *("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"),
    *(
        name
        for proxy in ("http", "https", "all", "no")
        for name in (f"{proxy}_proxy", f"{proxy}_PROXY".upper())
    ),
)
both = pytest.mark.parametrize("kind", [LeanTransport, SdkTransport])


def pack(content: bytes) -> bytes:
    """As gzip, without the time: processes that run tests must name them alike."""
    return gzip.compress(content, mtime=0)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


class Seen(NamedTuple):
    """A request as it arrived."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


class Endpoint:
    """A server that answers as it is told and keeps what it was sent."""

    def __init__(self, answer: Handler) -> None:
        self.answer = answer
        self.seen: list[Seen] = []
        self.base_url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = CIMultiDict(request.headers)
        self.seen.append(Seen(request.method, request.raw_path, headers, await request.read()))
        return await self.answer(request)


@asynccontextmanager
async def serve(answer: Handler) -> AsyncIterator[Endpoint]:
    endpoint = Endpoint(answer)
    async with RawTestServer(endpoint.handle) as server:
        endpoint.base_url = str(server.make_url("/v1"))
        yield endpoint


def say(text: str = "{}", *, status: int = 200, headers: Mapping[str, str] | None = None) -> Handler:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


def send_to(location: str, status: int) -> Handler:
    return say("moved", status=status, headers={"Location": location})


async def drop(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def break_off(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"the beginning")
    return await drop(request)


async def hang(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(0.6)
    return web.Response()


async def trickle(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(12):
        await response.write(b" ")
        await asyncio.sleep(0.05)
    return response


@asynccontextmanager
async def serve_raw(*parts: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that sends these bytes, whatever it is asked, and closes; gives its base URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            for part in parts:
                writer.write(part)
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def head(*headers: str, status: int = 200) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} Said", *headers, "", "")).encode("latin-1")


def whole(body: bytes, *headers: str, status: int = 200) -> bytes:
    return head(*headers, f"Content-Length: {len(body)}", status=status) + body


def exchange_raw(kind: Kind, *parts: bytes, seconds: float = 5.0) -> HttpAnswer | MultifacetedError:
    async def main() -> HttpAnswer | MultifacetedError:
        async with serve_raw(*parts) as base_url:
            try:
                return await post(kind, configure(base_url), seconds=seconds)
            except MultifacetedError as error:
                return error

    return asyncio.run(main())


def configure(base_url: str, **settings: Any) -> AsyncOpenAI:
    client = DefaultAsyncHttpxClient(verify=NO_TLS)
    return AsyncOpenAI(base_url=base_url, **{"api_key": KEY, "http_client": client, **settings})


async def post(
    kind: Kind, sdk: AsyncOpenAI, body: Mapping[str, Any] = BODY, *, seconds: float = 5.0
) -> HttpAnswer:
    transport: Transport = kind(sdk, timeout=seconds)
    try:
        return await transport.post(body)
    finally:
        await transport.close()
        await sdk.close()


def exchange(kind: Kind, answer: Handler, **settings: Any) -> tuple[HttpAnswer, Seen]:
    """One request and its answer, as each side saw it."""

    async def main() -> tuple[HttpAnswer, Seen]:
        async with serve(answer) as endpoint:
            got = await post(kind, configure(endpoint.base_url, **settings))
            [seen] = endpoint.seen
            return got, seen

    return asyncio.run(main())


def fail_to_exchange(kind: Kind, answer: Handler, *, timeout: float = 5.0) -> MultifacetedError:
    async def main() -> MultifacetedError:
        async with serve(answer) as endpoint:
            with pytest.raises(MultifacetedError) as caught:
                await post(kind, configure(endpoint.base_url), seconds=timeout)
            return caught.value

    return asyncio.run(main())


def show(error: BaseException) -> str:
    """Everything of an error that a log could show."""
    return "".join([*traceback.format_exception(error), repr(error), str(error), getattr(error, "hint", "")])


# What is sent


@both
@pytest.mark.parametrize("path", ["/v1", "/v1/", "/a/longer/path/v1"])
def test_requests_are_posted_to_the_path_below_the_base_url(kind: Kind, path: str) -> None:
    async def main() -> Seen:
        async with serve(say()) as endpoint:
            await post(kind, configure(endpoint.base_url.removesuffix("/v1") + path))
            return endpoint.seen[0]

    seen = asyncio.run(main())
    assert (seen.method, seen.path) == ("POST", f"{path.rstrip('/')}/chat/completions")


@both
def test_the_server_sees_the_body_as_it_was_meant(kind: Kind) -> None:
    _, seen = exchange(kind, say())
    assert json.loads(seen.body) == BODY


@both
def test_key_agent_and_content_type_are_the_sdks(kind: Kind) -> None:
    _, seen = exchange(kind, say())
    assert seen.headers.getall("Authorization") == [f"Bearer {KEY}"]
    assert seen.headers.getall("Content-Type") == ["application/json"]
    assert seen.headers.getall("Accept") == ["application/json"]
    assert seen.headers["User-Agent"].startswith("AsyncOpenAI/Python")


@both
def test_organization_project_and_further_headers_come_from_the_environment(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Team: seven")
    _, seen = exchange(kind, say())
    assert seen.headers.getall("OpenAI-Organization") == ["org-of-mine"]
    assert seen.headers.getall("OpenAI-Project") == ["project-of-mine"]
    assert seen.headers.getall("X-Team") == ["seven"]


@both
def test_without_an_organization_there_is_no_such_header(kind: Kind) -> None:
    _, seen = exchange(kind, say())
    assert not {"OpenAI-Organization", "OpenAI-Project"} & set(seen.headers)


@both
def test_headers_that_the_client_was_given_are_sent_and_win(kind: Kind) -> None:
    given = {"X-Mine": "yes", "User-Agent": "mine/1"}
    _, seen = exchange(kind, say(), default_headers=given)
    assert (seen.headers.getall("X-Mine"), seen.headers.getall("User-Agent")) == (["yes"], ["mine/1"])


def test_both_send_the_same_headers_but_for_those_of_the_http_library() -> None:
    library = {"Host", "Accept-Encoding", "Connection", "Content-Length"}
    each = [
        {
            name.title(): value
            for name, value in exchange(kind, say())[1].headers.items()
            if name.title() not in library
        }
        for kind in (LeanTransport, SdkTransport)
    ]
    lean, sdk = each
    assert lean.items() <= sdk.items()
    # Of one exchange, and of no use to anybody: how often it was tried, and how long it may take.
    assert {name for name in sdk if name not in lean} <= {
        "X-Stainless-Retry-Count",
        "X-Stainless-Read-Timeout",
        "Idempotency-Key",
    }


@both
def test_one_connection_serves_many_requests_and_cookies_are_not_kept(kind: Kind) -> None:
    async def main() -> None:
        peers = set[object]()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            peers.add(request.transport.get_extra_info("peername"))
            return web.Response(text="{}")

        async with serve(answer) as endpoint:
            sdk = configure(endpoint.base_url)
            transport: Transport = kind(sdk, timeout=5)
            for _ in range(5):
                await transport.post(BODY)
            await transport.close()
            await sdk.close()
            assert len(endpoint.seen) == 5
        assert len(peers) == 1

    asyncio.run(main())


@both
def test_many_requests_are_in_flight_at_once(kind: Kind) -> None:
    async def main() -> int:
        inside, arrived = 0, asyncio.Event()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            nonlocal inside
            inside += 1
            if inside == 150:  # more than either HTTP library allows by itself
                arrived.set()
            await asyncio.wait_for(arrived.wait(), 5)
            return web.Response(text="{}")

        async with serve(answer) as endpoint:
            sdk = configure(endpoint.base_url)
            transport: Transport = kind(sdk, timeout=5)
            answers = await asyncio.gather(*(transport.post(BODY) for _ in range(150)))
            await transport.close()
            await sdk.close()
            return len(answers)

    assert asyncio.run(main()) == 150


# What comes back


@both
@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 409, 422, 429, 500, 503])
def test_every_status_comes_back_once_with_its_headers_and_text(kind: Kind, status: int) -> None:
    headers = {"X-RateLimit-Limit-Requests": "600", "Retry-After": "7", "x-should-retry": "true"}
    got, _ = exchange(kind, say('{"a": "ä"}', status=status, headers=headers))
    assert (got.status, got.text) == (status, '{"a": "ä"}')
    assert (got.headers["x-ratelimit-limit-requests"], got.headers["retry-after"]) == ("600", "7")
    assert "retry-after-ms" not in got.headers


@both
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>busy</html>",
        "x" * 100_000,
        "ü" * 100_000,
        "Ｆｕｌｌ－ｗｉｄｔｈ\u2028😀\r\n\x00",
    ],
)
def test_the_text_comes_back_unchanged(kind: Kind, text: str) -> None:
    got, _ = exchange(kind, say(text))
    assert got.text == text


@both
def test_text_is_utf_8_whatever_the_charset_says(kind: Kind) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Content-Type": "application/json; charset=iso-8859-1"}
        return web.Response(body='{"a": "ä"}'.encode(), headers=headers)

    got, _ = exchange(kind, answer)
    assert got.text == '{"a": "ä"}'


@both
@pytest.mark.parametrize("encoding", [web.ContentCoding.gzip, web.ContentCoding.deflate])
def test_a_compressed_body_comes_back_plain(kind: Kind, encoding: web.ContentCoding) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.Response(text="plain text " * 1000)
        response.enable_compression(encoding)
        return response

    got, _ = exchange(kind, answer)
    assert got.text == "plain text " * 1000


SAID = '{"a": "ä 中"}'


@both
@pytest.mark.parametrize(
    ("body", "label", "text"),
    [
        (SAID.encode(), "application/json; charset=nonsense-8", SAID),
        (SAID.encode(), "application/json; charset=rot13", SAID),
        (SAID.encode(), "charset", SAID),
        (SAID.encode("utf-8-sig"), "application/json", SAID),
        (SAID.encode("utf-16"), "application/json", SAID),
        (SAID.encode("utf-16-le"), "application/json", SAID),
        (SAID.encode("utf-32-be"), "application/json; charset=utf-8", SAID),
        ('{"a": "中"}'.encode("gbk"), "application/json;charset=GBK", '{"a": "中"}'),
        ('{"a": "ä"}'.encode("latin-1"), 'text/html; Charset="ISO-8859-1"', '{"a": "ä"}'),
        ('{"a": "ä"}'.encode("latin-1"), "application/json", '{"a": "\ufffd"}'),
        ('{"a": "ä"}'.encode("latin-1"), "application/json; charset=punycode", '{"a": "\ufffd"}'),
        (b'{"a": "half a letter: \xe4\xb8"}', "application/json", '{"a": "half a letter: \ufffd"}'),
        (b'{"a": "\xed\xa0\xbd"}', "application/json", '{"a": "\ufffd\ufffd\ufffd"}'),
        (b"\xff", "", "\ufffd"),
    ],
)
def test_a_reply_in_any_encoding_is_kept(kind: Kind, body: bytes, label: str, text: str) -> None:
    got = exchange_raw(kind, whole(body, f"Content-Type: {label}"))
    assert isinstance(got, HttpAnswer)
    assert (got.text, got.headers["content-type"]) == (text, label)


def squeeze(data: bytes, window: int) -> bytes:
    packer = zlib.compressobj(wbits=window)
    return packer.compress(data) + packer.flush()


@both
@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (pack(SAID.encode()), "GZIP"),
        (pack(SAID.encode()), "x-gzip"),
        (pack(SAID.encode()), "identity"),  # unpacked by its first bytes, whatever the header says
        (pack(SAID[:5].encode()) + pack(SAID[5:].encode()), "gzip"),
        (pack(SAID.encode()) + b"\0" * 99 + b"junk", "gzip"),
        (pack(SAID.encode())[:-8], "gzip"),  # its checksum is cut off
        (squeeze(SAID.encode(), zlib.MAX_WBITS), "deflate"),
        (squeeze(SAID.encode(), -zlib.MAX_WBITS), "deflate"),
        (SAID.encode(), "gzip"),  # a proxy has unpacked it and kept the header
        (SAID.encode(), "deflate"),
        (SAID.encode(), "br"),
        (SAID.encode(), "UTF-8"),
    ],
)
def test_a_body_is_unpacked_by_what_it_is_not_by_its_label(kind: Kind, body: bytes, encoding: str) -> None:
    got = exchange_raw(kind, whole(body, f"Content-Encoding: {encoding}"))
    assert isinstance(got, HttpAnswer)
    assert got.text == SAID


@both
def test_a_packed_body_may_come_byte_by_byte(kind: Kind) -> None:
    body = pack(SAID.encode())
    got = exchange_raw(kind, head("Content-Encoding: gzip"), *[body[n : n + 1] for n in range(len(body))])
    assert isinstance(got, HttpAnswer)
    assert got.text == SAID


@both
@pytest.mark.parametrize(
    ("body", "encoding", "words"),
    [
        (b"\x1f\x8bthis is not gzip", "gzip", "cannot be unpacked"),
        (squeeze(SAID.encode() * 99, zlib.MAX_WBITS)[:20] + b"\0" * 99, "deflate", "cannot be unpacked"),
        (b"\x8b\x05\x80\xff\xfe", "br", "packed as 'br'"),
        (b"\x28\xb5\x2f\xfd\x04\x51\x00", "zstd", "packed as 'zstd'"),
    ],
)
def test_a_reply_that_cannot_be_unpacked_is_garbage_and_a_refusal_is_one_all_the_same(
    kind: Kind, body: bytes, encoding: str, words: str
) -> None:
    error = exchange_raw(kind, whole(body, f"Content-Encoding: {encoding}"))
    assert isinstance(error, TransientEndpointError)
    assert (error.kind, words in error.message) == ("garbage", True)
    assert "HTTP 200 from http://127.0.0.1" in error.message
    refused = exchange_raw(kind, whole(body, f"Content-Encoding: {encoding}", status=401))
    assert isinstance(refused, HttpAnswer)
    assert refused.status == 401


def pack_zeros(mebibytes: int) -> bytes:
    """Gzip of so many MiB of zeros, made from one of them."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    first = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + first[10:] * (mebibytes - 1)  # without the header


@both
def test_a_body_that_unpacks_to_gigabytes_is_given_up_early(kind: Kind) -> None:
    bomb = whole(pack_zeros(4096), "Content-Encoding: gzip")
    tracemalloc.start()
    try:
        error = exchange_raw(kind, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(error, TransientEndpointError)
    assert (error.kind, "longer than 16 MiB" in error.message) == ("garbage", True)
    assert peak < 6 * MAX_REPLY
    refused = exchange_raw(kind, bomb.replace(b"200", b"503", 1))
    assert isinstance(refused, HttpAnswer)
    assert (refused.status, len(refused.text.encode()) <= MAX_REFUSAL) == (503, True)


@both
@pytest.mark.parametrize("status", [200, 503])
def test_a_body_that_never_ends_is_given_up_and_its_connection_closed(kind: Kind, status: int) -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head(status=status))
            with suppress(ConnectionError):
                while True:
                    writer.write(b"x" * 2**18)
                    await writer.drain()
            closed.set()
            writer.close()

        async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
            sdk = configure(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
            transport: Transport = kind(sdk, timeout=5)
            if status == 200:
                with pytest.raises(TransientEndpointError) as caught:
                    await transport.post(BODY)
                assert caught.value.kind == "garbage"
                said = f"HTTP 200 from {sdk.base_url}chat/completions: the body is longer than 16 MiB"
                assert caught.value.message.startswith(f"{said}; 16,777,217 bytes were read")
            else:
                assert len((await transport.post(BODY)).text) == MAX_REFUSAL
            await asyncio.wait_for(closed.wait(), 5)  # though the transport is still open
            await transport.close()
            await sdk.close()

    asyncio.run(main())


@both
def test_a_reply_up_to_the_bound_is_taken(kind: Kind) -> None:
    got = exchange_raw(kind, whole(b"x" * MAX_REPLY))
    assert isinstance(got, HttpAnswer)
    assert len(got.text) == MAX_REPLY


@both
@pytest.mark.parametrize(
    "parts",
    [
        whole(b"{}", f"Content-Security-Policy: {'x' * 20_000}"),
        whole(b"{}", *(f"X-Header-{number}: x" for number in range(500))),
        whole(b"{}", "X-Latin: ä", "Set-Cookie: a=b;;;\x7f", "X-RateLimit-Limit-Requests: ,"),
        whole(b"{}").replace(b"\r\n", b"\n"),
        b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + whole(b"{}"),
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        # The end of the body is wrong, but the reply is there.
        head("Content-Length: 30") + b"{}",
        head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n",
    ],
    ids=["long", "many", "odd", "line feeds", "hints", "1.0", "length", "chunks"],
)
def test_a_reply_comes_through_odd_http(kind: Kind, parts: bytes) -> None:
    got = exchange_raw(kind, parts)
    assert isinstance(got, HttpAnswer)
    assert (got.status, got.text) == (200, "{}")


@both
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (b"", "closed the connection before it answered"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "127.0.0.1: it"),  # what a TLS server answers
        (b"HTTP/1.1 200", "127.0.0.1: it"),
        (whole(b"{}", f"X-Long: {'x' * 300_000}"), "does not keep to HTTP"),
        (whole(b"{}", "no header"), "does not keep to HTTP"),
        (whole(b"{}", "X-Zero: \0"), "does not keep to HTTP"),
        (head("Content-Length: many") + b"{}", "does not keep to HTTP"),
        (head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n", "does not keep to HTTP"),
        (head("Content-Length: 30") + b'{"a":', "broke in the middle"),
        (head("Transfer-Encoding: chunked") + b'10\r\n{"a":', "broke in the middle"),
    ],
)
def test_broken_http_is_a_broken_connection_and_says_how(kind: Kind, parts: bytes, words: str) -> None:
    error = exchange_raw(kind, parts)
    assert isinstance(error, TransientEndpointError)
    assert error.kind == "connection"
    assert words in error.message
    assert len(error.message) < 500


@both
def test_http_1_0_that_is_cut_early_gives_what_came(kind: Kind) -> None:
    got = exchange_raw(kind, b'HTTP/1.0 200 OK\r\n\r\n{"a":')
    assert isinstance(got, HttpAnswer)
    assert got.text == '{"a":'


@both
@pytest.mark.parametrize(
    ("body", "label"), [("<html>busy</html>", "text/html"), ("data: {}\n\n", "text/event-stream")]
)
def test_a_web_page_or_event_stream_is_handed_over_with_its_type(kind: Kind, body: str, label: str) -> None:
    got = exchange_raw(kind, head(f"Content-Type: {label}"), body.encode())
    assert isinstance(got, HttpAnswer)
    assert (got.text, got.headers["content-type"]) == (body, label)


@both
@pytest.mark.parametrize("answer", [drop, break_off])
def test_a_connection_that_breaks_is_one(kind: Kind, answer: Handler) -> None:
    error = fail_to_exchange(kind, answer)
    assert isinstance(error, TransientEndpointError)
    assert (error.kind, bool(error.message)) == ("connection", True)


@both
def test_a_refused_connection_is_one_too(kind: Kind) -> None:
    with pytest.raises(TransientEndpointError) as caught:
        asyncio.run(post(kind, configure("http://127.0.0.1:9/v1")))
    assert caught.value.kind == "connection"
    assert "127.0.0.1: nothing listens there" in caught.value.message


@both
def test_a_host_that_does_not_exist_is_said_to_be_none(kind: Kind) -> None:
    with pytest.raises(TransientEndpointError) as caught:
        asyncio.run(post(kind, configure("http://no-such-host.invalid/v1")))
    assert caught.value.kind == "connection"
    assert "no-such-host.invalid: there is no host of this name" in caught.value.message


@both
def test_a_server_that_speaks_no_tls_is_a_broken_connection(kind: Kind) -> None:
    async def main() -> None:
        async with serve(say()) as endpoint:
            with pytest.raises(TransientEndpointError) as caught:
                await post(kind, configure(endpoint.base_url.replace("http://", "https://")))
            assert caught.value.kind == "connection"
            assert endpoint.seen == []

    asyncio.run(main())


# Of 127.0.0.1, and signed by itself. It is good until 2126, and serves nobody.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQguMVLvvLkl2yKPiJ5
E24CRiTVp0d2KeHoJ0N7bfh5j9ehRANCAAQd6TzxkCp56Lh+S5uk1rlqhqmkK+8K
A6iUSBOrLDKeK0oJBhwC6V9xm/4PJAi5VGH0R4X9PURHhy6ZS000ze5v
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBjzCCATagAwIBAgIUSLhJIeJe7Nc1AAbprJmeU/XTTkowCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNjA2MjgyOVoYDzIxMjYxMTAy
MDYyODI5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQd6TzxkCp56Lh+S5uk1rlqhqmkK+8KA6iUSBOrLDKeK0oJBhwC6V9x
m/4PJAi5VGH0R4X9PURHhy6ZS000ze5vo2QwYjAdBgNVHQ4EFgQUdYf/CDqHo6Tq
bnYJa+CU7QCBLrswHwYDVR0jBBgwFoAUdYf/CDqHo6TqbnYJa+CU7QCBLrswDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0cAMEQC
IHyMZsXN116QKEl8HkegBV0/YDYBXf1KCyk7zD4r1vlXAiBJvSEv89Z7iBmrEcoG
VUU9S3I9rKyPWFbBu0C4bTIsdQ==
-----END CERTIFICATE-----
"""


@both
@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_certificate_that_nobody_vouches_for_ends_the_run_and_says_how_to_trust_it(
    kind: Kind, is_trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.pem").write_text(CERTIFICATE)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "own.pem")

    async def main() -> None:
        async with serve_raw(whole(b"{}"), tls=tls) as base_url:
            sdk = configure(base_url, http_client=DefaultAsyncHttpxClient())
            if is_trusted:
                assert (await post(kind, sdk)).text == "{}"
                return
            with pytest.raises(FatalEndpointError) as caught:
                await post(kind, sdk)
            assert (
                caught.value.message
                == "127.0.0.1: its certificate cannot be trusted: self-signed certificate"
            )
            assert "SSL_CERT_FILE" in caught.value.hint

    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    asyncio.run(main())


@both
@pytest.mark.parametrize("answer", [hang, trickle])
def test_the_timeout_bounds_the_whole_exchange(kind: Kind, answer: Handler) -> None:
    error = fail_to_exchange(kind, answer, timeout=0.2)
    assert isinstance(error, TransientEndpointError)
    assert (error.kind, error.message) == ("timeout", "no answer in time")


@both
def test_nothing_is_tried_twice_on_its_own_account(kind: Kind) -> None:
    async def main() -> int:
        async with serve(say(status=503, headers={"x-should-retry": "true"})) as endpoint:
            await post(kind, configure(endpoint.base_url, max_retries=5))
            return len(endpoint.seen)

    assert asyncio.run(main()) == 1


@both
def test_giving_up_from_outside_is_no_timeout(kind: Kind) -> None:
    async def main() -> None:
        async with serve(hang) as endpoint:
            asking = asyncio.create_task(post(kind, configure(endpoint.base_url)))
            await asyncio.sleep(0.1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())


# Redirects


@both
@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_method_is_followed_with_key_and_body(kind: Kind, status: int) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/new"):
            return web.Response(text="here")
        return web.Response(status=status, headers={"Location": "/new/chat/completions"})

    async def main() -> None:
        async with serve(answer) as endpoint:
            got = await post(kind, configure(endpoint.base_url))
            assert (got.status, got.text) == (200, "here")
            assert [seen.path for seen in endpoint.seen] == ["/v1/chat/completions", "/new/chat/completions"]
            assert [json.loads(seen.body) for seen in endpoint.seen] == [BODY, BODY]
            assert [seen.headers["Authorization"] for seen in endpoint.seen] == [f"Bearer {KEY}"] * 2

    asyncio.run(main())


@both
@pytest.mark.parametrize(
    ("status", "location", "target"),
    [
        (307, "http://other.example/v1/chat/completions?key=k", "http://other.example/v1/chat/completions"),
        (307, "//other.example/v1", "//other.example/v1"),
        (308, "https://127.0.0.1:{port}/v1/chat/completions", "https://127.0.0.1:{port}/v1/chat/completions"),
        (307, "http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
        (307, "http://me:hunter2@127.0.0.1:{port}/v1#part", "http://127.0.0.1:{port}/v1"),
        (307, "http://127.0.0.1:99999/", "http://127.0.0.1:99999/"),
        (307, "file:///etc/passwd", "file:///etc/passwd"),
        (307, "/v1/\x01", "/v1/"),
        (307, "http://[::1", ""),
        (307, "", ""),
        (301, "/v1/chat/completions/", "/v1/chat/completions/"),
        (302, "/login?next=%2Fv1", "/login"),
        (303, "/v1/chat/completions/", "/v1/chat/completions/"),
        (300, "/v2", "/v2"),
        (304, "/v2", "/v2"),
    ],
)
def test_any_other_redirect_is_not_followed_and_says_where_it_leads(
    kind: Kind, status: int, location: str, target: str
) -> None:
    async def main() -> None:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            fitting = location.replace("{port}", port())
            raw = f"HTTP/1.1 {status} Moved\r\nLocation: {fitting}\r\nContent-Length: 0\r\n\r\n"
            request.transport.write(raw.encode())
            return await drop(request)

        async with serve(answer) as endpoint:

            def port() -> str:
                return endpoint.base_url.removesuffix("/v1").rpartition(":")[2]

            got = await post(kind, configure(endpoint.base_url))
            error = translate_refusal(got.status, got.headers, got.text)
            assert len(endpoint.seen) == 1
            assert isinstance(error, FatalEndpointError)
            assert "correct base_url" in error.hint
            says = f"points to {target.replace('{port}', port())}" if target else "no reason given"
            assert error.message == f"HTTP {status}: " + (f"the endpoint {says}" if target else says)

    asyncio.run(main())


@both
def test_redirects_in_a_circle_end(kind: Kind) -> None:
    async def main() -> None:
        async with serve(send_to("/v1/chat/completions", 307)) as endpoint:
            got = await post(kind, configure(endpoint.base_url))
            assert (got.status, len(endpoint.seen)) == (307, 6)

    asyncio.run(main())


# Secrets


@both
@pytest.mark.parametrize("answer", [drop, break_off, hang])
def test_the_key_is_in_no_error_and_no_log(
    kind: Kind, answer: Handler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = fail_to_exchange(kind, answer, timeout=0.2)
    assert KEY not in show(error)
    assert KEY not in caplog.text


@both
def test_the_key_is_in_no_repr(kind: Kind) -> None:
    async def main() -> None:
        sdk = configure("http://127.0.0.1:9/v1")
        transport: Transport = kind(sdk, timeout=1)
        client = LiveClient(sdk, timeout=1)
        assert KEY not in f"{transport!r} {transport} {client!r} {client}"
        await transport.close()
        await client.close()

    asyncio.run(main())


@both
@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r", f"{KEY} ", f"{KEY}\x00", f"{KEY}…"])
def test_a_key_that_no_header_can_hold_is_said_at_once_and_not_shown(kind: Kind, key: str) -> None:
    async def main() -> SetupError:
        sdk = configure("http://127.0.0.1:9/v1", api_key=key)
        with pytest.raises(SetupError, match="Authorization") as caught:
            kind(sdk, timeout=1)
        await sdk.close()
        return caught.value

    error = asyncio.run(main())
    assert KEY not in show(error)
    assert error.hint


@pytest.mark.parametrize("kind", ["lean", "sdk"])
def test_a_key_that_the_endpoint_repeats_is_blotted_out(kind: str) -> None:
    class OwnOpenAI(AsyncOpenAI):
        pass

    async def main() -> FatalEndpointError:
        with ChatServer(api_key="another") as server:
            sdk = (AsyncOpenAI if kind == "lean" else OwnOpenAI)(base_url=server.base_url, api_key=KEY)
            client = LiveClient(sdk, timeout=5)
            with pytest.raises(FatalEndpointError) as caught:
                await client.ask(REQUEST)
            await client.close()
            return caught.value

    error = asyncio.run(main())
    assert "Incorrect API key provided: Bearer ***" in error.message
    assert KEY not in show(error)


def test_an_endpoint_without_a_key_keeps_its_own_words() -> None:
    async def main() -> str:
        said = '{"error": {"message": "none of the models is loaded"}}'
        with ChatServer(fault=lambda _: Fault(status=500, text=said)) as server:
            client = LiveClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), timeout=5)
            with pytest.raises(TransientEndpointError) as caught:
                await client.ask(REQUEST)
            await client.close()
            return caught.value.message

    assert asyncio.run(main()) == "HTTP 500: none of the models is loaded"


# Which one is used


REQUEST = Request(
    "response", "i0-v1", "some-model", (Message("user", "Why?"),), {"max_tokens": 10, "seed": 7}
)


def ask(make: Callable[[str], AsyncOpenAI]) -> tuple[Seen, str]:
    """One request through the live client; what the server saw, and by which transport."""

    async def main() -> tuple[Seen, str]:
        async with serve(say("fine")) as endpoint:
            sdk = make(endpoint.base_url)
            transport = choose_transport(sdk, timeout=5)
            client = LiveClient(sdk, timeout=5)
            assert await client.ask(REQUEST) == "fine"
            await transport.close()
            await client.close()
            return endpoint.seen[-1], type(transport).__name__

    return asyncio.run(main())


def test_the_plain_client_is_sent_the_lean_way() -> None:
    assert ask(configure)[1] == "LeanTransport"


def test_azure_is_sent_through_the_sdk_and_reaches_its_own_path() -> None:
    def make(url: str) -> AsyncAzureOpenAI:
        place = url.removesuffix("/v1")
        return AsyncAzureOpenAI(azure_endpoint=place, api_key=KEY, api_version="2024-10-21")

    seen, transport = ask(make)
    assert transport == "SdkTransport"
    assert seen.path == "/openai/deployments/some-model/chat/completions?api-version=2024-10-21"
    assert seen.headers.getall("api-key") == [KEY]
    assert json.loads(seen.body)["messages"] == [{"role": "user", "content": "Why?"}]


def test_a_client_that_fetches_its_key_for_each_request_is_asked_for_it() -> None:
    async def provide() -> str:
        return "fetched"

    seen, transport = ask(lambda url: configure(url, api_key=provide))
    assert (seen.headers["Authorization"], transport) == ("Bearer fetched", "SdkTransport")


def test_a_client_with_a_query_of_its_own_keeps_it() -> None:
    seen, _ = ask(lambda url: configure(url, default_query={"tenant": "7"}))
    assert seen.path == "/v1/chat/completions?tenant=7"


def test_a_text_without_utf_8_form_goes_as_an_escape_or_fails_its_row_alone() -> None:
    """A lone surrogate: the SDK can send none, and says so in a way that would end the run."""
    body = {**BODY, "messages": [{"role": "user", "content": "half \ud83d"}]}

    async def main() -> bytes:
        async with serve(say()) as endpoint:
            await post(LeanTransport, configure(endpoint.base_url), body)
            with pytest.raises(RejectedRequestError, match="UTF-8"):
                await post(SdkTransport, configure(endpoint.base_url), body)
            [seen] = endpoint.seen
            return seen.body

    assert json.loads(asyncio.run(main())) == body


# Proxies


@both
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_from_the_environment_is_sent_through(
    kind: Kind, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> Seen:
        async with serve(say("through the proxy")) as proxy:
            monkeypatch.setenv(variable, proxy.base_url.removesuffix("/v1"))
            got = await post(kind, configure("http://models.example/v1"))
            assert got.text == "through the proxy"
            return proxy.seen[0]

    seen = asyncio.run(main())
    assert (seen.path, seen.headers["Host"]) == (
        "http://models.example/v1/chat/completions",
        "models.example",
    )


@both
def test_a_proxy_named_without_a_scheme_speaks_http(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> str:
        async with serve(say("through the proxy")) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1").removeprefix("http://"))
            return (await post(kind, configure("http://models.example/v1"))).text

    assert asyncio.run(main()) == "through the proxy"


@both
def test_the_proxys_password_goes_to_the_proxy_alone(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> Seen:
        async with serve(say()) as proxy:
            place = proxy.base_url.removesuffix("/v1").removeprefix("http://")
            monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter2@{place}")
            await post(kind, configure("http://models.example/v1"))
            return proxy.seen[0]

    seen = asyncio.run(main())
    assert seen.headers["Proxy-Authorization"] == f"Basic {base64.b64encode(b'me:hunter2').decode()}"
    assert seen.headers["Authorization"] == f"Bearer {KEY}"


@both
def test_a_proxy_that_lets_nobody_through_is_a_broken_connection_and_no_password_is_shown(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> TransientEndpointError:
        async with serve(say(status=407)) as proxy:
            place = proxy.base_url.removesuffix("/v1").removeprefix("http://")
            monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{place}")
            with pytest.raises(TransientEndpointError) as caught:
                await post(kind, configure("https://models.example/v1"))
            [seen] = proxy.seen
            assert (seen.method, seen.path) == ("CONNECT", "models.example:443")
            assert KEY not in str(seen)
            return caught.value

    with caplog.at_level(logging.DEBUG):
        error = asyncio.run(main())
    assert error.kind == "connection"
    assert "407" in error.message
    assert "hunter2" not in show(error) + caplog.text


@both
def test_no_proxy_leads_past_the_proxy(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serve(say("proxy")) as proxy, serve(say("itself")) as endpoint:
            monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
            assert (await post(kind, configure(endpoint.base_url))).text == "proxy"
            for past in ("127.0.0.1", endpoint.base_url.removeprefix("http://").removesuffix("/v1")):
                monkeypatch.setenv("NO_PROXY", f"elsewhere.example,{past}")
                assert (await post(kind, configure(endpoint.base_url))).text == "itself"

    asyncio.run(main())


@both
def test_a_netrc_file_replaces_no_key(kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    _, seen = exchange(kind, say())
    assert seen.headers["Authorization"] == f"Bearer {KEY}"
