"""What each kind of refusal means: one table, read top to bottom by `translate_refusal`.

Connections that fail are `TransientEndpointError`s of kind connection or timeout from the start. What a
reply of status 200 may still lack (refused, filtered, truncated, empty) is the row's affair, not the
endpoint's, and stands in `ask/channel.py`.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from multifaceted.chat.error_body import MAX_MESSAGE, read_error
from multifaceted.chat.retry_after import read_retry_after
from multifaceted.errors import (
    EndpointError,
    FailureKind,
    FatalEndpointError,
    RejectedRequestError,
    TransientEndpointError,
)


class Policy(NamedTuple):
    """For which statuses, the error it becomes, the failure kind of the row, and what to do about it."""

    first: int
    last: int
    error: type[EndpointError]
    kind: FailureKind = "request_rejected"
    hint: str = ""


NO_CREDIT = "the account has no credit left"
CHECK_URL = "correct base_url in the recipe: with or without /v1, http:// or https://"
PROXY_LOGIN = (
    "write the proxy's user and password into HTTP_PROXY or HTTPS_PROXY: http://user:password@host:port"
)
CHECK_KEY = "name the variable that holds the key as api_key_env in the recipe; is it set, and right?"
POLICIES = (
    # stop the run: the next request would be refused too
    Policy(300, 399, FatalEndpointError, hint=CHECK_URL),  # followed where that is safe, see transport.py
    Policy(401, 401, FatalEndpointError, hint=CHECK_KEY),
    Policy(402, 402, FatalEndpointError, hint=NO_CREDIT),
    Policy(403, 403, FatalEndpointError, hint="this key may not use this model"),
    Policy(404, 404, FatalEndpointError, hint="check base_url (does it end in /v1?) and the model's name"),
    Policy(405, 405, FatalEndpointError, hint=CHECK_URL),
    Policy(407, 407, FatalEndpointError, hint=PROXY_LOGIN),
    Policy(410, 410, FatalEndpointError, hint="check base_url and the model's name: one of them is retired"),
    Policy(
        495, 496, FatalEndpointError, hint="the endpoint wants a client certificate, which is not supported"
    ),
    Policy(497, 497, FatalEndpointError, hint="base_url must begin with https://"),
    Policy(498, 498, FatalEndpointError, hint=CHECK_KEY),
    Policy(511, 511, FatalEndpointError, hint="log in to the network that this machine is on"),
    Policy(561, 561, FatalEndpointError, hint=CHECK_KEY),  # AWS's load balancer
    # ask again: somebody gave up waiting, the client itself as nginx (499) and AWS (460) saw it among them
    Policy(408, 408, TransientEndpointError, "timeout"),
    Policy(460, 460, TransientEndpointError, "timeout"),
    Policy(499, 499, TransientEndpointError, "timeout"),
    # ask again: more slowly
    Policy(420, 420, TransientEndpointError, "rate_limited"),
    Policy(429, 430, TransientEndpointError, "rate_limited"),
    Policy(509, 509, TransientEndpointError, "rate_limited"),  # bandwidth of shared hosting
    # ask again: this one met a conflict, a lock, a wrong connection or something that is still loading
    Policy(409, 409, TransientEndpointError, "server_error"),
    Policy(421, 421, TransientEndpointError, "server_error"),
    Policy(423, 425, TransientEndpointError, "server_error"),
    Policy(449, 449, TransientEndpointError, "server_error"),
    # ask again: nobody behind the gateway, or nobody with time (529: Anthropic, 52x and 530: Cloudflare)
    Policy(502, 504, TransientEndpointError, "unavailable"),
    Policy(520, 530, TransientEndpointError, "unavailable"),
    Policy(598, 599, TransientEndpointError, "unavailable"),  # proxies that met a timeout
    # the row fails: what is not implemented will not be, whenever it is asked for
    Policy(501, 501, RejectedRequestError),
    Policy(505, 505, RejectedRequestError),
    # ask again
    Policy(500, 599, TransientEndpointError, "server_error"),
    # the row fails
    Policy(0, 999, RejectedRequestError),
)

MAX_TARGET = 200  # characters of where a redirect leads


def translate_refusal(status: int, headers: Mapping[str, str], text: str) -> EndpointError:
    """Our error for an HTTP status, in the endpoint's words."""
    fault = read_error(text)
    words = fault.words
    if target := _find_target(status, headers):
        words = f"the endpoint points to {target}"
    message = f"HTTP {status}: {words[:MAX_MESSAGE]}"
    if fault.is_unpaid:
        return FatalEndpointError(message, hint=NO_CREDIT)
    if fault.is_filter:
        return RejectedRequestError(message, kind="content_filter")
    policy = next(p for p in POLICIES if p.first <= status <= p.last)
    wait = read_retry_after(headers, text, fault.data) if policy.error is TransientEndpointError else 0.0
    return policy.error(message, kind=policy.kind, hint=policy.hint, retry_after=wait)


def _find_target(status: int, headers: Mapping[str, str]) -> str:
    """Return where a redirect leads, without what may be secret in it: user, password, query and fragment."""
    location = headers.get("location", "") if 300 <= status <= 399 else ""  # noqa: PLR2004
    try:
        parts = urlsplit(location.strip())
    except ValueError:
        return ""
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return "".join(letter for letter in target[:MAX_TARGET] if letter.isprintable())
