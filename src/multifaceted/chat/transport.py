"""One HTTP exchange with an endpoint: `await transport.post(body)` gives status, headers and text.

The `openai` SDK is what users configure: base URL, key, organization, headers, proxies. Its own way of
sending costs six times the CPU of the bare HTTP library beneath it, so `LeanTransport` takes the
configured headers from the SDK and sends by itself. A subclass of the SDK's client may sign or rewrite each
request (Azure does), and a key may be fetched for each, so these go through `SdkTransport`, and so does what
goes through a SOCKS proxy. Tests hold the two to the same behavior.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urljoin, urlsplit

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI

from multifaceted.chat.connection_errors import explain_failure, no_answer
from multifaceted.chat.content import ACCEPTED, Content
from multifaceted.chat.trust import open_trust
from multifaceted.credentials import blot_body, hold_headers
from multifaceted.errors import MultifacetedError, RejectedRequestError, SetupError
from multifaceted.proxies import find_proxy, is_loopback, is_socks

logger = logging.getLogger(__name__)

PATH = "/chat/completions"
MAX_REDIRECTS = 5  # of one request
MAX_HEADER = 2**16  # bytes of one header of an answer; policies and cookies of gateways are long
MAX_HEADERS = 1000  # of one answer
_KEEPS_METHOD = (307, 308)
_PORTS = {"http": 80, "https": 443}


class HttpAnswer(NamedTuple):
    """What came back, whatever its status. Header names are lower-case or case-insensitive."""

    status: int
    headers: Mapping[str, str]
    text: str


class Transport(Protocol):
    """Sends one body and gives what came back."""

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send. A redirect is followed where method, body and host stay the same; else it is what came back.

        Raises:
            TransientEndpointError: of kind timeout, connection or garbage.
            FatalEndpointError: where the endpoint cannot be trusted to be who it should be.
            RejectedRequestError: where the body cannot be written down.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def choose_transport(sdk: AsyncOpenAI, *, timeout: float, direct: bool = False) -> Transport:
    """The lean transport where URL and fixed headers are all there is to a client; else the SDK itself.

    Args:
        sdk: the configured client.
        timeout: seconds for one exchange.
        direct: go past every proxy: the server is ours, on this machine.

    Raises:
        SetupError: where the key cannot stand in a header, or the environment names a proxy of no use.
    """
    is_plain = type(sdk) is AsyncOpenAI and sdk.auth_headers and not sdk.default_query
    if is_plain and (direct or not is_socks(find_proxy(str(sdk.base_url)))):
        return LeanTransport(sdk, timeout=timeout, direct=direct)
    return SdkTransport(sdk, timeout=timeout)


class LeanTransport:
    """aiohttp with the URL and headers of a configured SDK client."""

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float, direct: bool = False) -> None:
        self._url = f"{str(sdk.base_url).rstrip('/')}{PATH}"
        self._headers = {**_read_headers(sdk), "Accept-Encoding": ACCEPTED}
        self._timeout = timeout
        self._proxy = None if direct else find_proxy(self._url)
        if self._proxy and is_loopback(urlsplit(self._url).hostname or ""):
            logger.warning(
                "%s is reached through a proxy; add localhost to NO_PROXY to go past it", self._url
            )
        self._session: aiohttp.ClientSession | None = None  # made in the loop that uses it

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send; the timeout bounds the whole exchange."""
        # ASCII only: a lone surrogate has no UTF-8 form, and must not stop a run.
        data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
        url = self._url
        try:
            async with asyncio.timeout(self._timeout):
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._exchange(url, data)
                    target = find_next(url, answer)
                    if target is None:
                        break
                    url = target
        except TimeoutError as error:
            raise no_answer() from error
        except (aiohttp.ClientError, OSError) as error:
            # What aiohttp says of a proxy holds its password.
            raise explain_failure(error, self._url) from (None if self._proxy else error)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, url: str, data: bytes) -> HttpAnswer:
        async with self._open().post(url, data=data, allow_redirects=False) as response:
            content = Content(response.status, response.headers, source=url)
            try:
                async for chunk in response.content.iter_any():
                    if not content.feed(chunk):
                        response.close()  # and so the connection
                        break
            except MultifacetedError:
                response.close()
                raise
            except (aiohttp.ClientError, OSError):
                if not content.is_complete():
                    raise
        return HttpAnswer(response.status, response.headers, blot_body(content.text()))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            is_secure = self._url.startswith("https:")
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(
                    limit=0,  # how many there may be is decided by who asks
                    ssl=open_trust() if is_secure else True,  # trusts whom the SDK trusts
                ),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=self._proxy,
                auto_decompress=False,  # its own unpacking has no bound
                max_line_size=MAX_HEADER,
                max_field_size=MAX_HEADER,
                max_headers=MAX_HEADERS,
            )
        return self._session


class SdkTransport:
    """The SDK's own low-level call, which hands the response over as it came."""

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float) -> None:
        _read_headers(sdk)
        headers = {"Accept-Encoding": ACCEPTED}
        self._sdk = sdk.with_options(max_retries=0, timeout=timeout, default_headers=headers)
        self._timeout = timeout
        # The SDK reads the bodies of refusals before it hands them over, so they are bounded below it.
        hooks = self._sdk._client.event_hooks  # which the SDK gives no other way to
        self._sdk._client.event_hooks = {**hooks, "response": [*hooks["response"], _bound_body]}

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send; the timeout bounds the whole exchange."""
        url = PATH
        try:
            # The SDK's own timeouts run between two pieces of a body; this one bounds the whole.
            async with asyncio.timeout(self._timeout):
                for _ in range(MAX_REDIRECTS + 1):
                    answer, sent_to = await self._exchange(url, body)
                    target = find_next(sent_to, answer)
                    if target is None:
                        break
                    url = target
        except TimeoutError as error:
            raise no_answer() from error
        except UnicodeEncodeError as error:  # a lone surrogate
            message = "the request holds text that has no UTF-8 form"
            raise RejectedRequestError(message) from error
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            raise explain_failure(error, str(self._sdk.base_url)) from error
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _exchange(self, url: str, body: Mapping[str, Any]) -> tuple[HttpAnswer, str]:
        try:
            response = await self._sdk.post(
                url, body=body, cast_to=httpx2.Response, options={"follow_redirects": False}
            )
        except openai.APIStatusError as error:
            response = error.response
        return HttpAnswer(response.status_code, response.headers, blot_body(response.text)), str(response.url)


class _BoundedStream(httpx2.AsyncByteStream):
    """A body that is read to its bound, unpacked and decoded; gives its text as UTF-8."""

    def __init__(self, response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)  # noqa: S101 - the client is an async one
        self._stream = response.stream
        self._content = Content(response.status_code, response.headers, source=str(response.url))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                if not self._content.feed(chunk):
                    break
        except httpx2.HTTPError:
            if not self._content.is_complete():
                raise
        yield self._content.text().encode()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound_body(response: httpx2.Response) -> None:
    """Have the body read as the lean transport does: the HTTP library unpacks without a bound."""
    response.stream = _BoundedStream(response)
    response.headers.pop("content-encoding", None)
    response.encoding = "utf-8"


def find_next(url: str, answer: HttpAnswer) -> str | None:
    """Where the same request goes next: a redirect that keeps method and body, on the same host, as secure.

    A key never goes elsewhere, and neither does what is asked.
    """
    location = answer.headers.get("location", "") if answer.status in _KEEPS_METHOD else ""
    try:
        target = urljoin(url, location)
        is_same = location and target.isascii() and target.isprintable() and _origin(target) == _origin(url)
    except ValueError:
        return None
    return target if is_same else None


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL that brings a user along")
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def _read_headers(sdk: AsyncOpenAI) -> dict[str, str]:
    """What goes with every request. The HTTP libraries repeat a value that they cannot send; we do not."""
    given = {**sdk.default_headers, **sdk.auth_headers}
    headers = {name: value for name, value in given.items() if isinstance(value, str)}
    hold_headers(headers)  # a server may echo them
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            hint = "look for a line end or other stray characters in the variable that holds the key"
            raise SetupError(f"the header {name} holds characters that cannot be sent", hint=hint)
    return headers
