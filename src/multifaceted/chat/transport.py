"""One HTTP exchange with an endpoint: `await transport.post(body)` gives status, headers and text.

The `openai` SDK is what users configure: base URL, key, organization, headers, proxies. Its own way of
sending costs six times the CPU of the bare HTTP library beneath it, so `LeanTransport` takes the
configured headers from the SDK and sends by itself. A subclass of the SDK's client may sign or rewrite each
request (Azure does), and a key may be fetched for each, so these go through `SdkTransport`. Tests hold the
two to the same behavior.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
import openai
from openai import AsyncOpenAI

from multifaceted.errors import RejectedRequestError, SetupError, TransientEndpointError

PATH = "/chat/completions"


class HttpAnswer(NamedTuple):
    """What came back, whatever its status. Header names are lower-case or case-insensitive."""

    status: int
    headers: Mapping[str, str]
    text: str


class Transport(Protocol):
    """Sends one body and gives what came back."""

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send.

        Raises:
            TransientEndpointError: of kind timeout, connection or garbage.
            RejectedRequestError: where the body cannot be written down.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def choose_transport(sdk: AsyncOpenAI, *, timeout: float) -> Transport:
    """The lean transport where URL and fixed headers are all there is to a client; else the SDK itself.

    Raises:
        SetupError: where the key cannot stand in a header.
    """
    is_plain = type(sdk) is AsyncOpenAI and sdk.auth_headers and not sdk.default_query
    return LeanTransport(sdk, timeout=timeout) if is_plain else SdkTransport(sdk, timeout=timeout)


class LeanTransport:
    """aiohttp with the URL and headers of a configured SDK client."""

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float) -> None:
        self._url = f"{str(sdk.base_url).rstrip('/')}{PATH}"
        self._headers = _read_headers(sdk)
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None  # made in the loop that uses it

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send; the timeout bounds the whole exchange."""
        # ASCII only: a lone surrogate has no UTF-8 form, and must not stop a run.
        data = json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")
        try:
            async with asyncio.timeout(self._timeout), self._open().post(self._url, data=data) as response:
                content = await response.read()
        except TimeoutError as error:
            raise _no_answer() from error
        except aiohttp.ClientHttpProxyError as error:
            message = f"the proxy answers {error.status} {error.message}"
            raise TransientEndpointError(message, kind="connection") from None  # its text holds a password
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error) from error
        return HttpAnswer(response.status, response.headers, _decode(content))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0),  # how many there may be is decided by who asks
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                proxy=find_proxy(self._url),
            )
        return self._session


class SdkTransport:
    """The SDK's own low-level call, which hands the response over as it came."""

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float) -> None:
        _read_headers(sdk)
        self._sdk = sdk.with_options(max_retries=0, timeout=timeout)
        self._timeout = timeout

    async def post(self, body: Mapping[str, Any]) -> HttpAnswer:
        """Send; the timeout bounds the whole exchange."""
        try:
            # The SDK's own timeouts run between two pieces of a body; this one bounds the whole.
            async with asyncio.timeout(self._timeout):
                response = await self._sdk.post(PATH, body=body, cast_to=httpx2.Response)
        except TimeoutError as error:
            raise _no_answer() from error
        except UnicodeEncodeError as error:  # a lone surrogate
            message = "the request holds text that has no UTF-8 form"
            raise RejectedRequestError(message) from error
        except openai.APIStatusError as error:
            response = error.response
        except openai.APIConnectionError as error:
            causes = _causes_of(error)
            # Its aiohttp transport reports refused and broken connections as timeouts; the cause tells.
            if any(isinstance(cause, TimeoutError) for cause in causes):
                raise _no_answer() from error
            raise _broken(causes[-1]) from error
        return HttpAnswer(response.status_code, response.headers, _decode(response.content))

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()


def find_proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL, as the SDK heeds it.

    aiohttp's own `trust_env` looks for it, and for a netrc file, in a thread and for every request.
    """
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or "") or proxy_bypass(parts.netloc):  # NO_PROXY may name a port
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _read_headers(sdk: AsyncOpenAI) -> dict[str, str]:
    """What goes with every request. The HTTP libraries repeat a value that they cannot send; we do not."""
    given = {**sdk.default_headers, **sdk.auth_headers}
    headers = {name: value for name, value in given.items() if isinstance(value, str)}
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            hint = "look for a line end or other stray characters in the variable that holds the key"
            raise SetupError(f"the header {name} holds characters that cannot be sent", hint=hint)
    return headers


def _no_answer() -> TransientEndpointError:
    return TransientEndpointError("no answer in time", kind="timeout")


def _broken(cause: BaseException) -> TransientEndpointError:
    return TransientEndpointError(str(cause) or type(cause).__name__, kind="connection")


def _decode(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise TransientEndpointError("the body is no text", kind="garbage") from error


def _causes_of(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes
