"""How long an endpoint asks us to wait, in whatever form: `read_retry_after(headers, text, data)`.

    read_seconds("1m30s", now)                            # 90.0
    read_seconds("Wed, 21 Oct 2026 07:28:00 GMT", now)    # seconds from now until then

Headers come first; the words of an error body count where the headers say nothing.
"""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

LONGEST = 366 * 86_400.0  # seconds; whatever is longer, infinity among it, is cut to this, and is no wait
_EPOCH = 1e9  # a number of seconds from here on is a point in time: 2001 and later
_EPOCH_MS = 1e11  # and from here on it is one in milliseconds
_LATEST_MS = 1e14  # the year 5138; beyond it is nonsense, and means a long time
_MOST = 200  # characters of a value that are looked at
_MOST_WORDS = 4000  # and of an error body

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf(?:inity)?", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(
    r"(\d{1,12}(?:\.\d{1,12})?)\s?(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
    r"(?![a-z])(?:,? and |,? ?)",
    re.ASCII | re.IGNORECASE,
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# "Please try again in 6m0s", "retry after 26 seconds", "Please retry in 15.2s", "will reset after 2h7m23s"
_WORDS = re.compile(
    r"\b(?:try again|retry|retrying|wait|resets?) (?:in |after |for )?(?=\d)", re.ASCII | re.IGNORECASE
)
# Keys of error bodies that name a wait, in seconds where the value has no unit, and what to multiply it with.
_KEYS = {
    "retryDelay": 1.0,  # google.rpc.RetryInfo
    "retry_after": 1.0,
    "retryAfter": 1.0,
    "retry_after_seconds": 1.0,
    "retry_after_ms": 0.001,
    "estimated_time": 1.0,  # Hugging Face, while it loads a model
}


def read_retry_after(
    headers: Mapping[str, str],
    text: str = "",
    data: Mapping[str, Any] | None = None,
    *,
    now: float | None = None,
) -> float:
    """Seconds that the endpoint asks us to wait; 0 where it does not say, or says what makes no sense.

    Args:
        headers: of the refusal; their names in lower case, or looked up without regard to case.
        text: the body of the refusal.
        data: the error in it, where it is an object.
        now: seconds since 1970; the endpoint's own clock where it sends one, else this machine's.
    """
    now = _read_clock(headers) if now is None else now
    data = data or {}
    told = [*_read_headers(headers, now), *_read_headers(_find_headers(data), now)]
    told += (*_read_body(data, now), *_read_words(text))
    return next((wait for wait in told if 0 < wait < LONGEST), 0.0)


def read_seconds(value: str, now: float) -> float | None:
    """Seconds from `now` that a value means, between 0 and `LONGEST`; None where it means no time at all.

    It may be a number of seconds, a duration such as `1m30s`, a point in time as seconds or milliseconds
    since 1970, an HTTP date or an ISO one. Of several values, separated by commas, the longest counts.
    """
    value = value[:_MOST].strip().strip("\"'")
    for read in (_read_number, _read_duration, _read_date):
        seconds = read(value, now)
        if seconds is not None:
            return min(max(seconds, 0.0), LONGEST)
    parts = value.split(",")
    each = [read_seconds(part, now) for part in parts] if len(parts) > 1 else []
    return max((seconds for seconds in each if seconds is not None), default=None)


def _read_number(value: str, now: float) -> float | None:
    if not _NUMBER.fullmatch(value):
        return None
    number = float(value)
    if _EPOCH <= number < _EPOCH_MS:
        return number - now
    return number / 1000 - now if _EPOCH_MS <= number < _LATEST_MS else number


def _read_duration(value: str, now: float) -> float | None:
    del now
    seconds, end = _sum_durations(value, 0)
    return seconds if end == len(value) and end else None


def _sum_durations(text: str, start: int) -> tuple[float, int]:
    """Return what durations that follow one another come to, and where they end."""
    seconds = 0.0
    while match := _DURATION.match(text, start):
        seconds, start = seconds + float(match[1]) * _unit(match[2]), match.end()
    return seconds, start


def _unit(name: str) -> float:
    name = name.lower()
    return _SECONDS["ms" if name.startswith(("ms", "milli")) else name[0]]


def _read_date(value: str, now: float) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = parse(value)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _read_clock(headers: Mapping[str, str]) -> float:
    """Return the endpoint's clock: a date in its headers is meant by that one, and ours may be wrong."""
    here = time.time()
    there = _read_date(headers.get("date", "")[:_MOST], 0.0)
    return here if there is None else there


def _read_headers(headers: Mapping[str, str], now: float) -> Iterator[float]:
    yield _scale(read_seconds(headers.get("retry-after-ms", ""), now), 0.001)
    yield read_seconds(headers.get("retry-after", ""), now) or 0.0
    # When the next minute or day of a budget begins; only where this one is used up.
    if headers.get("x-ratelimit-remaining", "").strip() == "0":
        yield read_seconds(headers.get("x-ratelimit-reset", ""), now) or 0.0


def _find_headers(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of the provider behind OpenRouter, which stand in the body."""
    metadata = data.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, dict) else None
    return {name.lower(): str(value) for name, value in headers.items()} if isinstance(headers, dict) else {}


def _read_body(data: Mapping[str, Any], now: float) -> Iterator[float]:
    details = data.get("details")
    for part in (data, *(details if isinstance(details, list) else ())):
        for key, unit in _KEYS.items() if isinstance(part, dict) else ():
            value = part.get(key)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                yield _scale(read_seconds(str(value), now), unit)


def _scale(seconds: float | None, unit: float) -> float:
    """Return what makes no sense in seconds makes none in milliseconds."""
    return (seconds or 0.0) * (unit if (seconds or 0.0) < LONGEST else 1.0)


def _read_words(text: str) -> Iterator[float]:
    for match in _WORDS.finditer(text[:_MOST_WORDS]):
        yield min(_sum_durations(text[: match.end() + _MOST], match.end())[0], LONGEST)
