"""What a failed exchange means, in words that say what to do: `raise explain_failure(error, url) from error`.

The HTTP libraries name the same failure differently, and some put the reason two causes deep.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import aiohttp
import httpx2

from multifaceted.errors import EndpointError, FatalEndpointError, TransientEndpointError
from multifaceted.proxies import describe_proxy

TRUST = (
    "for a server of your own or your company's, name its certificate authority's file in SSL_CERT_FILE;"
    " else look at its certificate and at this machine's clock"
)
MAX_WORDS = 300  # characters of a library's own words
_LOGIN = re.compile(r"//[^/@\s]+@")  # of a proxy


def no_answer() -> TransientEndpointError:
    """Return the error for an exchange that took too long."""
    return TransientEndpointError("no answer in time", kind="timeout")


def explain_failure(error: BaseException, url: str) -> EndpointError:
    """Our error for an exchange that gave no answer.

    Args:
        error: what the HTTP library or the SDK raised.
        url: where the request went, through a proxy where the environment names one.
    """
    causes = list(_causes_of(error))
    if any(isinstance(cause, TimeoutError | httpx2.TimeoutException) for cause in causes):
        return no_answer()
    host = urlsplit(url).hostname or url
    proxy = describe_proxy(url)
    where = f"{host}, through {proxy}" if proxy else host
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        reasons = (str(getattr(cause, "verify_message", "")) for cause in causes)
        message = (
            f"{where}: its certificate cannot be trusted: {next(filter(None, reasons), 'no reason given')}"
        )
        return FatalEndpointError(message, kind="connection", hint=TRUST)
    words = next((words for cause in causes if (words := _describe(cause))), "") or _quote(causes[-1])
    if proxy and any(
        isinstance(cause, OSError | httpx2.ConnectError | httpx2.ProxyError) for cause in causes
    ):
        # Whoever is to connect, resolve or log in there, it is the proxy.
        where = f"{proxy}, which leads to {host}"
        words += f"; correct it, or add {host} to NO_PROXY where no proxy is needed"
    return TransientEndpointError(f"{where}: {words}", kind="connection")


def _describe(cause: BaseException) -> str:
    """Plain words for what happens often; none for the rest."""
    said = str(cause)
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"it answers {cause.status} {cause.message}"
    if isinstance(cause, socket.gaierror):
        return f"there is no host of this name, or no network ({_quote(cause)})"
    if isinstance(cause, ConnectionRefusedError):
        return f"nothing listens there ({_quote(cause)})"
    if isinstance(cause, ssl.SSLError) and "WRONG_VERSION_NUMBER" in said:
        return "it speaks no TLS on this port: should base_url begin with http://?"
    return _describe_answer(cause, said)


def _describe_answer(cause: BaseException, said: str) -> str:
    """Return the same, where there was a connection."""
    if isinstance(cause, aiohttp.ServerDisconnectedError) or "disconnected without" in said:
        return "it closed the connection before it answered"
    if isinstance(cause, aiohttp.ClientPayloadError | httpx2.ReadError) or "peer closed connection" in said:
        return f"the connection broke in the middle of an answer ({_quote(cause)})"
    if isinstance(cause, aiohttp.ClientResponseError | httpx2.RemoteProtocolError):
        question = ": should base_url begin with https://?" if "status line" in said.lower() else ""
        return f"it does not keep to HTTP{question} ({_quote(cause)})"
    return ""


def _quote(cause: BaseException) -> str:
    words = cause.message if isinstance(cause, aiohttp.ClientResponseError) else str(cause)
    words = " ".join(_LOGIN.sub("//", words).split()) or type(cause).__name__
    return words[:MAX_WORDS]


def _causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, nearest first; of several at once, each."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        for part in cause.exceptions if isinstance(cause, BaseExceptionGroup) else ():
            yield from _causes_of(part)
        cause = cause.__cause__ or cause.__context__
