"""What each kind of refusal means: one table, read top to bottom by `translate_refusal`.

Connections that fail are `TransientEndpointError`s of kind connection or timeout from the start. What a
reply of status 200 may still lack (refused, filtered, truncated, empty) is the row's affair, not the
endpoint's, and stands in `ask/channel.py`.
"""

import html
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

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
CHECK_KEY = "check the key in the variable that api_key_env names"
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

# Said with status 429, but no waiting helps.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",  # Moonshot
    }
)
FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
MAX_MESSAGE = 500  # characters of an endpoint's own words that are kept
MAX_TARGET = 200  # characters of where a redirect leads
_TITLE = re.compile(r"<title[^>]*>([^<]{1,500})<", re.IGNORECASE)


def translate_refusal(status: int, headers: Mapping[str, str], text: str, *, hide: str = "") -> EndpointError:
    """Our error for an HTTP status, in the endpoint's words, with the key blotted out where it echoes it."""
    codes, words = _read_error(text)
    if target := _find_target(status, headers):
        words = f"the endpoint points to {target}"
    if hide:
        words = words.replace(hide, "***")
    message = f"HTTP {status}: {words[:MAX_MESSAGE]}"
    if codes & QUOTA_CODES:
        return FatalEndpointError(message, hint=NO_CREDIT)
    if codes & FILTER_CODES:
        return RejectedRequestError(message, kind="content_filter")
    policy = next(p for p in POLICIES if p.first <= status <= p.last)
    wait = read_retry_after(headers, text) if policy.error is TransientEndpointError else 0.0
    return policy.error(message, kind=policy.kind, hint=policy.hint, retry_after=wait)


def _find_target(status: int, headers: Mapping[str, str]) -> str:
    """Where a redirect leads, without what may be secret in it: user, password, query and fragment."""
    location = headers.get("location", "") if 300 <= status <= 399 else ""  # noqa: PLR2004
    try:
        parts = urlsplit(location.strip())
    except ValueError:
        return ""
    target = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return "".join(letter for letter in target[:MAX_TARGET] if letter.isprintable())


def _read_error(text: str) -> tuple[set[str], str]:
    """Code and type of an error body, and its words: OpenAI's shape, a web page, or whatever it is."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        title = _TITLE.search(text[:20_000])
        words = f"a web page, {html.unescape(title[1]).strip()!r}" if title else text.strip()
        return set(), words or "no reason given"
    data = data[0] if isinstance(data, list) and data else data  # Gemini wraps it
    body = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(body, dict):
        return set(), body if isinstance(body, str) else json.dumps(body)
    codes = {str(body[name]) for name in ("code", "type") if body.get(name)}
    metadata = body.get("metadata")
    if isinstance(metadata, dict) and "flagged_input" in metadata:  # OpenRouter, with status 403
        codes.add("content_filter")
    told = body.get("message") or body.get("detail") or body
    return codes, told if isinstance(told, str) else json.dumps(told)
