"""Errors that come with status 200: `explain_body(body)` says what a body that is not a reply means.

Example:
    explain_body('{"error": {"code": 402, "message": "Insufficient credits"}}')     # a FatalEndpointError
"""

import re

from multifaceted.chat.error_body import MAX_MESSAGE, find_bare_error, find_error, find_title
from multifaceted.chat.events import read_body
from multifaceted.chat.policy import translate_refusal
from multifaceted.errors import EndpointError, RejectedRequestError, TransientEndpointError
from multifaceted.records import Reply

QUOTED = 200  # characters of a body that nobody can read
_HTML = re.compile(r"\s*(?:<!doctype html|<html|<head|<body)", re.IGNORECASE)


def explain_body(body: str, *, reply: Reply | None = None) -> EndpointError:
    """Explain a body of status 200 that holds no usable reply.

    Args:
        body: as it came.
        reply: what was read from it, where the endpoint stopped in the middle of it.

    Returns:
        The error that its own code asks for; one that is worth another try where it has none.
    """
    data = read_body(body)
    fault = None if data is None else find_error(data) or (None if reply else find_bare_error(data))
    if fault is None:
        if reply is None:
            return TransientEndpointError(_describe(body), kind="garbage")
        message = f"the endpoint stopped in the middle of the reply (finish_reason {reply.finish_reason!r})"
        return TransientEndpointError(message, kind="broken")
    message = f"the endpoint answers with an error{f', code {fault.status}' if fault.status else ''}: "
    message += fault.words[:MAX_MESSAGE]
    if fault.is_filter:
        return RejectedRequestError(message, kind="content_filter")
    if not fault.status:
        return TransientEndpointError(message, kind="garbage" if reply is None else "broken")
    error = translate_refusal(
        fault.status, {}, body if reply is None else ""
    )  # which may say how long to wait
    kind = "broken" if reply is not None and error.retryable else error.kind
    return type(error)(message, kind=kind, hint=error.hint, retry_after=error.retry_after)


def _describe(body: str) -> str:
    if not body.strip():
        return "the body of the reply is empty"
    if _HTML.match(body):
        title = find_title(body)
        named = f", titled {title[:QUOTED]!r}" if title else ""
        return (
            f"the body of the reply is an HTML page and no chat completion{named}; does base_url end in /v1?"
        )
    return f"the body of the reply is not a chat completion; it begins: {' '.join(body[:QUOTED].split())}"
