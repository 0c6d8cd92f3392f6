"""Errors that come with status 200: `explain_body(body)` says what a body that is no reply means.

Example:
    explain_body('{"error": {"code": 402, "message": "Insufficient credits"}}')     # a FatalEndpointError
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from multifaceted.chat.events import read_body
from multifaceted.chat.policy import MAX_MESSAGE, translate_refusal
from multifaceted.errors import EndpointError, TransientEndpointError
from multifaceted.records import Reply

_STATUSES = range(400, 600)
QUOTED = 200  # characters of a body that nobody can read

# Names of errors that stand in for a status, as OpenAI, Anthropic and Google have them.
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
    ),
    402: (
        "insufficient_quota",
        "insufficient_credits",
        "billing_error",
        "payment_required",
        "insufficient_balance",
    ),
    403: ("permission_error", "permission_denied", "forbidden", "access_denied"),
    404: ("not_found_error", "not_found", "model_not_found"),
    413: ("request_too_large",),
    408: ("timeout", "timeout_error", "deadline_exceeded"),
    429: (
        "rate_limit_error",
        "rate_limit_exceeded",
        "resource_exhausted",
        "too_many_requests",
        "rate_limited",
    ),
    500: ("api_error", "server_error", "internal", "internal_error", "internal_server_error"),
    503: ("overloaded_error", "overloaded", "unavailable", "service_unavailable", "engine_overloaded"),
}
_BY_NAME = {name: status for status, names in _NAMED.items() for name in names}
_WORDS = ("message", "msg", "detail", "error_description", "status_msg", "error_msg")
_CODES = ("code", "status", "status_code", "http_code", "type", "error_code")
_HTML = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)
_TITLE = re.compile(r"<(title|h1)[^>]*>\s*(.*?)\s*</\1>", re.IGNORECASE | re.DOTALL)


class Fault(NamedTuple):
    """An error in a body: the HTTP status that it stands for, 0 where that is unknown, and its words."""

    status: int
    words: str


def find_error(data: Mapping[str, Any]) -> Fault | None:
    """Find the error that stands beside a reply, or in place of one; None where there is none."""
    choices = data.get("choices")
    for holder in (*(choices if isinstance(choices, list) else ())[:1], data):
        error = holder.get("error") if isinstance(holder, Mapping) else None
        if error:
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
    if not fault.status:
        return TransientEndpointError(message, kind="garbage" if reply is None else "broken")
    error = translate_refusal(fault.status, {}, "")
    kind = "broken" if reply is not None and error.retryable else error.kind
    return type(error)(message, kind=kind, hint=error.hint)


def _find_bare_error(data: Mapping[str, Any]) -> Fault | None:
    """An error that is the whole body, or stands in it under a name of the endpoint's own."""
    inner = data.get("errors") or data.get("base_resp")
    inner = inner[0] if isinstance(inner, list) and inner else inner
    if isinstance(inner, Mapping):
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
    return Fault(
        next(filter(None, (_to_status(error.get(name)) for name in _CODES)), 0),
        words if isinstance(words, str) else json.dumps(words),
    )


def _to_status(code: Any) -> int:
    if isinstance(code, int | float | str) and str(code).strip().isdecimal():
        return int(code) if int(code) in _STATUSES else 0
    return _BY_NAME.get(code.strip().lower(), 0) if isinstance(code, str) else 0


def _hide(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text
