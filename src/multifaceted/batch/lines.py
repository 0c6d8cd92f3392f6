"""The lines of result files, however a server writes them: what came of which request.

Example:
    for line in read_lines(file):
        line.text, line.data             # data: None where the line is not a JSON object
        read_outcome(line.data)          # Answered(body), Refused(status, text) or Unanswered(code, words)

OpenAI's line is `{"custom_id": …, "response": {"status_code": 200, "body": {…}}, "error": null}`. Others
write the body as a text of JSON, or in place of the response, the status as a text or not at all, an error as
a text.
"""

import codecs
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from multifaceted.batch.state import as_count, inner_status

MAX_LINE = 64 * 2**20  # characters of a line; what is longer comes in pieces, and those are not JSON
MAX_DIGITS = 300  # of a number that is read as a whole one; Python refuses more than some thousand
STATUSES = range(200, 600)  # that the answer to a request can have
_GOOD = range(200, 300)
_BLANK = " \t\r\n\ufeff\x00"
_BETWEEN = re.compile(rf"[,{_BLANK}]*")  # two objects on one line


class Line(NamedTuple):
    """One object of a result file, or a text that is none."""

    text: str
    data: dict[str, Any] | None

    @property
    def custom_id(self) -> str:
        """The id of its request; ours are lower-case hexadecimal, and no server needs to keep them texts."""
        found = (self.data or {}).get("custom_id")
        return str(found).strip().lower() if isinstance(found, str | int) else ""


class Answered(NamedTuple):
    """The request has a reply, good or not: it is paid for."""

    body: str  # as JSON, or the text that stands in its place


class Refused(NamedTuple):
    """The endpoint answered with an HTTP status that is an error."""

    status: int
    text: str  # of the answer


class Unanswered(NamedTuple):
    """The endpoint did not get to the request, or does not say what came of it."""

    code: str
    words: str


Outcome = Answered | Refused | Unanswered


def read_lines(file: Path) -> Iterator[Line]:
    """Yield the objects of a result file, in order; blank lines are none, an array is as many as it holds."""
    for text in _read_texts(file):
        try:
            found = _parse(text)
        except (ValueError, RecursionError):
            yield Line(text, None)
            continue
        flat = [item for value in found for item in (value if isinstance(value, list) else [value])]
        if len(flat) == 1 and isinstance(flat[0], dict):
            yield Line(text, flat[0])
        elif all(isinstance(item, dict) for item in flat):
            yield from (Line(_dump(item), item) for item in flat)
        else:
            yield Line(text, None)


def read_outcome(line: dict[str, Any]) -> Outcome:
    """What a line says of its request. A body with `choices` is a reply, whatever else the line says."""
    response, error = _dict(_unpack(line.get("response"))), _unpack(line.get("error"))
    body = _unpack(response.get("body"))
    if "body" not in response:  # some write the completion in place of the response, or beside it
        body = next((found for found in (response, line) if "choices" in found), _unpack(line.get("body")))
    if _dict(body).get("choices"):
        return Answered(_dump(body))
    inner = error or _dict(body).get("error")
    status = as_count(response.get("status_code", response.get("status")))
    holds_none = error and not body and status in _GOOD  # whatever the status says
    if status is None or status not in STATUSES or holds_none:
        status = inner_status(inner)
    if status is None:
        return _read_error(inner)
    if status not in _GOOD:
        return Refused(status, _dump({"error": error} if error and not body else body))
    return Answered(body if isinstance(body, str) and _is_sound(body) else _dump(body))


def _is_sound(text: str) -> bool:
    """Return whether a text can be stored: half an emoji cannot, unless it is written as JSON."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read_texts(file: Path) -> Iterator[str]:
    with file.open("rb") as opened:
        start = opened.read(4)
        opened.seek(0)
        marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "utf-16" if start.startswith(marks) and b"\0" in start else "utf-8"
        # Only the ends of lines that JSON Lines has: others, such as U+2028, may stand in a text.
        with io.TextIOWrapper(opened, encoding, "replace", newline="\n") as lines:
            while text := lines.readline(MAX_LINE):
                if stripped := text.strip(_BLANK):
                    yield stripped


def _parse(text: str) -> list[Any]:
    """Return the JSON values on a line, which is one where the server keeps its lines apart.

    What stands before the first object is passed over: a mark, or part of a line that was cut.
    """
    values, end = [], 0 if text.startswith("[") else max(0, text.find("{"))
    while end < len(text):
        value, end = _DECODER.raw_decode(text, end)
        values.append(value)
        end = _skip(text, end)
    return values


def _skip(text: str, start: int) -> int:
    found = _BETWEEN.match(text, start)
    return found.end() if found else start


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _join_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of two values under one key, an empty one hides none that was paid for."""
    joined: dict[str, Any] = {}
    for key, value in pairs:
        if value or not joined.get(key):
            joined[key] = value
    return joined


_DECODER = json.JSONDecoder(strict=False, parse_int=_read_int, object_pairs_hook=_join_pairs)


def _unpack(value: Any) -> Any:
    """Return a value, or what it holds where it is a text of JSON."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        return _DECODER.decode(value)
    except (ValueError, RecursionError):
        return value


def _read_error(error: Any) -> Unanswered:
    if isinstance(error, dict):
        words = error.get("message") or error.get("detail") or ""
        return Unanswered(str(error.get("code") or ""), words if isinstance(words, str) else _dump(words))
    return Unanswered("", error if isinstance(error, str) else "")


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
