"""The two ways of sending: what holds for one holds for the other, down to headers, errors and secrets."""

import asyncio
import base64
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from multidict import CIMultiDict
from openai import AsyncAzureOpenAI, AsyncOpenAI

from multifaceted.chat.live import LiveClient
from multifaceted.chat.transport import (
    HttpAnswer,
    LeanTransport,
    SdkTransport,
    Transport,
    choose_transport,
    find_proxy,
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


async def garble_compression(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"this is not gzip", headers={"Content-Encoding": "gzip"})


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


def configure(base_url: str, **settings: Any) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=base_url, **{"api_key": KEY, **settings})


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


@both
@pytest.mark.parametrize("status", [200, 500])
def test_a_body_that_is_no_text_is_garbage(kind: Kind, status: int) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=status, body=b"\xff\xfe{}")

    error = fail_to_exchange(kind, answer)
    assert isinstance(error, TransientEndpointError)
    assert error.kind == "garbage"


@both
@pytest.mark.parametrize("answer", [drop, break_off, garble_compression])
def test_a_connection_that_breaks_is_one(kind: Kind, answer: Handler) -> None:
    error = fail_to_exchange(kind, answer)
    assert isinstance(error, TransientEndpointError)
    assert (error.kind, bool(error.message)) == ("connection", True)


@both
def test_a_refused_connection_is_one_too(kind: Kind) -> None:
    with pytest.raises(TransientEndpointError) as caught:
        asyncio.run(post(kind, configure("http://127.0.0.1:9/v1")))
    assert (caught.value.kind, bool(caught.value.message)) == ("connection", True)


@both
def test_a_server_that_speaks_no_tls_is_a_broken_connection(kind: Kind) -> None:
    async def main() -> None:
        async with serve(say()) as endpoint:
            with pytest.raises(TransientEndpointError) as caught:
                await post(kind, configure(endpoint.base_url.replace("http://", "https://")))
            assert caught.value.kind == "connection"
            assert endpoint.seen == []

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
def test_a_redirect_to_another_host_takes_no_key_along(kind: Kind) -> None:
    async def main() -> None:
        async with serve(say("here")) as other, serve(send_to(f"{other.base_url}/x", 307)) as endpoint:
            got = await post(kind, configure(endpoint.base_url))
            assert (got.status, got.text) == (200, "here")
            [seen] = other.seen
            assert "Authorization" not in seen.headers
            assert KEY not in str(seen)

    asyncio.run(main())


@both
@pytest.mark.parametrize("status", [301, 302, 303])
def test_an_older_redirect_turns_into_a_get_as_in_browsers(kind: Kind, status: int) -> None:
    """So a base URL that moved in this way ends in an error of the new place, not in silence."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(status=405, text="POST alone")
        return web.Response(status=status, headers={"Location": "/new"})

    async def main() -> None:
        async with serve(answer) as endpoint:
            got = await post(kind, configure(endpoint.base_url))
            assert (got.status, got.text) == (405, "POST alone")

    asyncio.run(main())


@both
def test_redirects_in_a_circle_are_a_broken_connection(kind: Kind) -> None:
    error = fail_to_exchange(kind, send_to("/v1/chat/completions", 307))
    assert isinstance(error, TransientEndpointError)
    assert error.kind == "connection"


# Secrets


@both
@pytest.mark.parametrize("answer", [drop, break_off, hang, send_to("/v1/chat/completions", 307)])
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


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://a.example/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://a.example/v1", None),
        ({"HTTPS_PROXY": "http://p:2"}, "https://a.example/v1", "http://p:2"),
        ({"ALL_PROXY": "http://p:3"}, "https://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "HTTP_PROXY": "http://p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": ""}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "*"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "a.example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": ".example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "b.example"}, "http://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "x, 127.0.0.1"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "127.0.0.1:8000"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "127.0.0.1:9"}, "http://127.0.0.1:8000/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "::1"}, "http://[::1]:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "localhost"}, "http://localhost:8000/v1", None),
    ],
)
def test_the_environment_names_the_proxy_and_who_goes_without(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


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
