"""What the body of an error says, whoever wrote it: `read_error(text)` gives its codes and its words.

Example:
    read_error('{"error": {"code": "insufficient_quota", "message": "No credit"}}').status      # 402

The same with an error status and with status 200, where an error stands beside a reply or in place of one.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from multifaceted.chat.bodies import load_json
from multifaceted.chat.events import read_body

MAX_MESSAGE = 500  # characters of an endpoint's own words that are kept
_MAX_PAGE = 20_000  # characters in which its title is looked for
_STATUSES = range(400, 600)
_UNPAID = 402
# Names and numbers of errors that stand in for a status, as OpenAI, Anthropic, Google, AWS, DashScope,
# MiniMax, Moonshot and Zhipu have them.
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
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
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
_FILTERS = {
    "content_filter",
    "content_policy_violation",
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
_BETWEEN = re.compile(r"[\s.\-]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = ("message", "msg", "detail", "error_description", "status_msg", "error_msg")
_CODES = ("code", "status", "status_code", "http_code", "type", "error_code")
_TITLE = re.compile(r"<(title|h1)[^>]*>\s*(.*?)\s*</\1>", re.IGNORECASE | re.DOTALL)


class Fault(NamedTuple):
    """An error in a body."""

    status: int  # the HTTP status that it stands for; 0 where that is unknown
    words: str
    codes: frozenset[str] = frozenset()  # its codes and types, in lower case
    data: Mapping[str, Any] = {}  # all that it says, such as how long to wait

    @property
    def is_filter(self) -> bool:
        """Return whether the endpoint's filter stopped the reply."""
        metadata = self.data.get("metadata")  # of OpenRouter, with status 403
        return not _FILTERS.isdisjoint(self.codes) or (
            isinstance(metadata, Mapping) and "flagged_input" in metadata
        )

    @property
    def is_unpaid(self) -> bool:
        """Whether its code says that the account has no credit left, which some say with status 429."""
        return is_unpaid(self.codes)


def is_unpaid(codes: Iterable[str]) -> bool:
    """Return whether one of the codes says that the account has no credit left."""
    return any(_to_status(_normalize(code)) == _UNPAID for code in codes)


def read_error(text: str) -> Fault:
    """Read the body of an error, whatever its shape."""
    data = read_body(text)
    if data is None:
        return Fault(0, _describe_text(text))
    return find_error(data) or find_bare_error(data) or _read_fault(data)


def find_error(data: Mapping[str, Any]) -> Fault | None:
    """Find the error that stands beside a reply, or in place of one; None where there is none."""
    choices = data.get("choices")
    for holder in (*(choices if isinstance(choices, list) else ())[:1], data):
        error = holder.get("error") if isinstance(holder, Mapping) else None
        if error and not _is_none(error):
            error = error if isinstance(error, Mapping) else {**_pick_words(data), "error_description": error}
            return _read_fault(error)._replace(data={**data, **error})
    return None


def find_bare_error(data: Mapping[str, Any]) -> Fault | None:
    """Find an error that is the whole body, or stands in it under a name of the endpoint's own."""
    inner = data.get("errors") or data.get("base_resp")
    inner = inner[0] if isinstance(inner, list) and inner else inner
    if isinstance(inner, Mapping) and not _is_none(inner):
        return _read_fault(inner)
    return _read_fault(data) if any(data.get(name) for name in _WORDS) else None


def find_title(page: str) -> str:
    """Return the title or first heading of a web page; empty where a text is none, or has none."""
    title = _TITLE.search(page[:_MAX_PAGE])
    return " ".join(html.unescape(title[2]).split())[:MAX_MESSAGE] if title else ""


def _is_none(error: Any) -> bool:
    """Return whether an `error` says that there is none: nulls, code 0, "success"."""
    said = [error.get(name) for name in (*_CODES, *_WORDS)] if isinstance(error, Mapping) else [error]
    known = all(str(value).strip().lower() in _NO_ERROR for value in said)
    return known and (not isinstance(error, Mapping) or bool(set(error) & {*_CODES, *_WORDS}))


def _pick_words(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands beside an error that is a text, such as `"error": "Not Found", "message": "…"`."""
    return {name: data[name] for name in (*_WORDS, *_CODES) if data.get(name)}


def _read_fault(error: Mapping[str, Any]) -> Fault:
    words = next((error[name] for name in _WORDS if error.get(name)), error)
    words = words if isinstance(words, str) else json.dumps(words, ensure_ascii=False)
    codes = [_normalize(error.get(name)) for name in _CODES]
    found = [status for status in map(_to_status, codes) if status]
    # OpenAI says "no credit" with code 429 beside it
    status = _UNPAID if _UNPAID in found else next(iter(found), 0) or _read_words(words)
    return Fault(status, words, frozenset(codes), error)


def _describe_text(text: str) -> str:
    """Return the words of a body that is not an object."""
    if title := find_title(text):
        return f"a web page, {title!r}"
    value = load_json(text)
    return (value if isinstance(value, str) else text.strip()) or "no reason given"


def _read_words(words: str) -> int:
    return next((status for status, said in _SAID if re.search(said, words[:MAX_MESSAGE], re.IGNORECASE)), 0)


def _normalize(code: Any) -> str:
    """Return a code as the lists have it: AWS's `ThrottlingException` is "throttling"."""
    if isinstance(code, bool) or not isinstance(code, int | float | str):
        return ""
    text = str(int(code) if isinstance(code, float) and code.is_integer() else code).strip()
    return _BETWEEN.sub("_", text).lower().removesuffix("_exception")


def _to_status(code: str) -> int:
    if code.isdecimal() and len(code) == 3 and int(code) in _STATUSES:  # noqa: PLR2004
        return int(code)
    parts = code.split("_")  # DashScope's `Throttling.RateQuota`
    return _BY_NAME.get(code) or (_BY_NAME.get(parts[0], 0) if parts[0] == "throttling" else 0)
