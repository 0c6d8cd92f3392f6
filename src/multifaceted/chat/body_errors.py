"""Errors that come with status 200: `explain_body(body)` says what a body that is no reply means.

Example:
    explain_body('{"error": {"code": 402, "message": "Insufficient credits"}}')     # a FatalEndpointError
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from multifaceted.chat.events import read_body
from multifaceted.chat.policy import FILTER_CODES, MAX_MESSAGE, QUOTA_CODES, translate_refusal
from multifaceted.errors import EndpointError, RejectedRequestError, TransientEndpointError
from multifaceted.records import Reply

_STATUSES = range(400, 600)
QUOTED = 200  # characters of a body that nobody can read

# Names and numbers of errors that stand in for a status, as OpenAI, Anthropic, Google, AWS, DashScope,
# MiniMax and Zhipu have them.
_NAMED = {
    400: (
        "invalid_request_error",
        "invalid_argument",
        "bad_request",
        "context_length_exceeded",
        "failed_precondition",
    ),
    401: (
        "authentication_error",
        "unauthenticated",
        "invalid_api_key",
        "unauthorized",
        "invalid_authentication",
        "invalid_authentication_error",
        "1004",
        "2049",
    ),
    402: (
        "insufficient_quota",
        "insufficient_credits",
        "billing_error",
        "payment_required",
        "insufficient_balance",
        "insufficient_balance_error",
        "arrearage",
        *QUOTA_CODES,
        "1008",
        "1113",
    ),
    403: ("permission_error", "permission_denied", "permission_denied_error", "forbidden", "access_denied"),
    404: (
        "not_found_error",
        "not_found",
        "model_not_found",
        "resource_not_found",
        "resource_not_found_error",
    ),
    413: ("request_too_large",),
    408: ("timeout", "timeout_error", "deadline_exceeded", "request_timeout", "model_timeout", "1001"),
    429: (
        "rate_limit_error",
        "rate_limit_exceeded",
        "resource_exhausted",
        "too_many_requests",
        "rate_limited",
        "rate_limit",
        "rate_limit_reached_error",
        "throttling",
        "throttled",
        *("1002", "1039", "1302", "1305"),
    ),
    500: (
        "api_error",
        "server_error",
        "internal",
        "internal_error",
        "internal_server_error",
        "internal_server",
        "1000",
    ),
    503: (
        "overloaded_error",
        "overloaded",
        "unavailable",
        "service_unavailable",
        "engine_overloaded",
        "engine_overloaded_error",
    ),
}
_BY_NAME = {name: status for status, names in _NAMED.items() for name in names}
_FILTERS = FILTER_CODES | {
    "data_inspection_failed",
    "responsible_ai_policy_violation",
    "1026",
    "1027",
    "1301",
}
# What an error without a code says of itself, where no doubt is left.
_SAID = (
    (
        402,
        r"insufficient.{0,20}(?:balance|credits?|quota|funds)|current quota|out of credits|余额不足|欠费",
    ),
    (
        401,
        r"(?:invalid|incorrect|missing|wrong|no) api.?key|api key (?:is )?(?:not valid|invalid)|unauthorized",
    ),
    (429, r"rate.?limit|too many requests|resource.?exhausted"),
    (503, r"overloaded|(?:temporarily|service) unavailable|no (?:available|healthy) (?:server|upstream)"),
)
_NO_ERROR = ("", "0", "200", "none", "null", "ok", "success", "false")
_BETWEEN = re.compile(r"[\s.\-]+|(?<=[a-z])(?=[A-Z])")
_WORDS = ("message", "msg", "detail", "error_description", "status_msg", "error_msg")
_CODES = ("code", "status", "status_code", "http_code", "type", "error_code")
_HTML = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1)[^>]*>\s*(.*?)\s*</\1>", re.IGNORECASE | re.DOTALL)


class Fault(NamedTuple):
    """An error in a body: the HTTP status that it stands for, 0 where that is unknown, and its words."""

    status: int
    words: str
    is_filter: bool = False  # the endpoint's filter stopped it


def find_error(data: Mapping[str, Any]) -> Fault | None:
    """Find the error that stands beside a reply, or in place of one; None where there is none."""
    choices = data.get("choices")
    for holder in (*(choices if isinstance(choices, list) else ())[:1], data):
        error = holder.get("error") if isinstance(holder, Mapping) else None
        if error and not _is_none(error):
            return _read_fault(error if isinstance(error, Mapping) else {"message": error})
    return None


def explain_body(body: str, *, reply: Reply | None = None, hide: str = "") -> EndpointError:
    """Explain a body of status 200 that holds no usable reply.

    Args:
        body: as it came.
        reply: what was read from it, where the endpoint stopped in the middle of it.
        hide: the key, which is blotted out where the endpoint echoes it.

    Returns:
        The error that its own code asks for; one that is worth another try where it has none.
    """
    data = read_body(body)
    fault = None if data is None else find_error(data) or (None if reply else _find_bare_error(data))
    if fault is None:
        if reply is None:
            return TransientEndpointError(_describe(_hide(body, hide)), kind="garbage")
        message = f"the endpoint stopped in the middle of the reply (finish_reason {reply.finish_reason!r})"
        return TransientEndpointError(message, kind="broken")
    message = f"the endpoint answers with an error{f', code {fault.status}' if fault.status else ''}: "
    message += _hide(fault.words, hide)[:MAX_MESSAGE]
    if fault.is_filter:
        return RejectedRequestError(message, kind="content_filter")
    if not fault.status:
        return TransientEndpointError(message, kind="garbage" if reply is None else "broken")
    error = translate_refusal(
        fault.status, {}, body if reply is None else ""
    )  # which may say how long to wait
    kind = "broken" if reply is not None and error.retryable else error.kind
    return type(error)(message, kind=kind, hint=error.hint, retry_after=error.retry_after)


def _is_none(error: Any) -> bool:
    """Whether an `error` says that there is none: nulls, code 0, "success"."""
    said = [error.get(name) for name in (*_CODES, *_WORDS)] if isinstance(error, Mapping) else [error]
    known = all(str(value).strip().lower() in _NO_ERROR for value in said)
    return known and (not isinstance(error, Mapping) or bool(set(error) & {*_CODES, *_WORDS}))


def _find_bare_error(data: Mapping[str, Any]) -> Fault | None:
    """An error that is the whole body, or stands in it under a name of the endpoint's own."""
    inner = data.get("errors") or data.get("base_resp")
    inner = inner[0] if isinstance(inner, list) and inner else inner
    if isinstance(inner, Mapping) and not _is_none(inner):
        return _read_fault(inner)
    return _read_fault(data) if any(data.get(name) for name in _WORDS) else None


def _describe(body: str) -> str:
    if not body.strip():
        return "the body of the reply is empty"
    if _HTML.match(body):
        title = _TITLE.search(body)
        named = f", titled {' '.join(title[2].split())[:QUOTED]!r}" if title else ""
        return (
            f"the body of the reply is an HTML page and no chat completion{named}; does base_url end in /v1?"
        )
    return f"the body of the reply is no chat completion; it begins: {' '.join(body[:QUOTED].split())}"


def _read_fault(error: Mapping[str, Any]) -> Fault:
    words = next((error[name] for name in _WORDS if error.get(name)), error)
    words = words if isinstance(words, str) else json.dumps(words, ensure_ascii=False)
    names = [_normalize(error.get(name)) for name in _CODES]
    found = [status for status in map(_to_status, names) if status]
    # OpenAI says "no credit" with code 429 beside it
    status = 402 if 402 in found else next(iter(found), 0) or _read_words(words)  # noqa: PLR2004
    return Fault(status, words, not _FILTERS.isdisjoint(names))


def _read_words(words: str) -> int:
    return next((status for status, said in _SAID if re.search(said, words[:MAX_MESSAGE], re.IGNORECASE)), 0)


def _normalize(code: Any) -> str:
    """A code as the lists have it: AWS's `ThrottlingException` is "throttling"."""
    if isinstance(code, bool) or not isinstance(code, int | float | str):
        return ""
    text = str(int(code) if isinstance(code, float) and code.is_integer() else code).strip()
    return _BETWEEN.sub("_", text).lower().removesuffix("_exception")


def _to_status(code: str) -> int:
    if code.isdecimal() and len(code) == 3 and int(code) in _STATUSES:  # noqa: PLR2004
        return int(code)
    parts = code.split("_")  # DashScope's `Throttling.RateQuota`
    return _BY_NAME.get(code) or (_BY_NAME.get(parts[0], 0) if parts[0] == "throttling" else 0)


def _hide(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text
