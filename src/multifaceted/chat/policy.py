"""What each kind of refusal means: one table, read top to bottom by `translate_refusal`.

Connections that fail are `TransientEndpointError`s of kind connection or timeout from the start. What a
reply of status 200 may still lack (refused, filtered, truncated, empty) is the row's affair, not the
endpoint's, and stands in `ask/channel.py`.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

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
POLICIES = (
    # stop the run: the next request would be refused too
    Policy(401, 401, FatalEndpointError, hint="check the key in the variable that api_key_env names"),
    Policy(402, 402, FatalEndpointError, hint=NO_CREDIT),
    Policy(403, 403, FatalEndpointError, hint="this key may not use this model"),
    Policy(404, 404, FatalEndpointError, hint="check base_url (does it end in /v1?) and the model's name"),
    # ask again
    Policy(408, 408, TransientEndpointError, "timeout"),
    Policy(409, 409, TransientEndpointError, "server_error"),
    Policy(429, 429, TransientEndpointError, "rate_limited"),
    Policy(502, 504, TransientEndpointError, "unavailable"),
    Policy(500, 599, TransientEndpointError, "server_error"),
    # the row fails
    Policy(0, 999, RejectedRequestError),
)

# Said with status 429, but no waiting helps.
QUOTA_CODES = ("insufficient_quota", "billing_hard_limit_reached")
FILTER_CODES = ("content_filter", "content_policy_violation")
MAX_MESSAGE = 500  # characters of an endpoint's own words that are kept


def translate_refusal(status: int, headers: Mapping[str, str], text: str, *, hide: str = "") -> EndpointError:
    """Our error for an HTTP status, in the endpoint's words, with the key blotted out where it echoes it."""
    code, words = _read_error(text)
    if hide:
        words = words.replace(hide, "***")
    message = f"HTTP {status}: {words[:MAX_MESSAGE]}"
    if code in QUOTA_CODES:
        return FatalEndpointError(message, hint=NO_CREDIT)
    if code in FILTER_CODES:
        return RejectedRequestError(message, kind="content_filter")
    policy = next(p for p in POLICIES if p.first <= status <= p.last)
    return policy.error(message, kind=policy.kind, hint=policy.hint, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the endpoint asks us to wait; 0 where it does not say, or names a date."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    return 0.0


def _read_error(text: str) -> tuple[str, str]:
    """The code and the words of an error body: OpenAI's shape, or whatever it is."""
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "", text.strip() or "no reason given"
    body = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(body, dict):
        return "", body if isinstance(body, str) else json.dumps(body)
    words = body.get("message") or body.get("detail") or body
    return str(body.get("code") or ""), words if isinstance(words, str) else json.dumps(words)
