"""The input file of a batch: its lines, and everything OpenAI would refuse it for.

Example:
    lines, problems = read_input(content, endpoint="/v1/chat/completions", max_requests=9, max_bytes=10_000)

The codes are those that OpenAI and Azure report in `errors.data`; not all of them are documented.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Problem = dict[str, Any]


class BatchLine(NamedTuple):
    """One request of a batch."""

    custom_id: str
    body: dict[str, Any]


def count_lines(content: bytes) -> int:
    """Return lines that are not blank."""
    return sum(1 for _ in _number_lines(content))


def describe_problem(
    code: str, message: str, *, line: int | None = None, param: str | None = None
) -> Problem:
    """One entry of a failed batch's `errors.data`; lines count from 1."""
    return {"code": code, "message": message, "param": param, "line": line}


def read_input(
    content: bytes, *, endpoint: str, max_requests: int, max_bytes: int
) -> tuple[list[BatchLine], list[Problem]]:
    """Return the lines of an input file and what is wrong with it; lines count only where nothing is.

    Args:
        content: the file's bytes, JSON lines.
        endpoint: of the batch; the `url` of every line must equal it.
        max_requests: lines a file may have.
        max_bytes: bytes a file may have.
    """
    problems = list(_check_size(content, max_requests=max_requests, max_bytes=max_bytes))
    if problems:
        return [], problems
    checker = _LineChecker(endpoint)
    lines: list[BatchLine] = []
    for number, text in _number_lines(content):
        found = checker.check(text, number)
        if isinstance(found, BatchLine):
            lines.append(found)
        else:
            problems.append(found)
    return lines, problems


def _number_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    numbered = enumerate(content.split(b"\n"), start=1)
    return ((number, text) for number, text in numbered if text.strip())


def _check_size(content: bytes, *, max_requests: int, max_bytes: int) -> Iterator[Problem]:
    if len(content) > max_bytes:
        message = f"The batch input file is larger than the {max_bytes} maximum. Try a smaller batch."
        yield describe_problem("maximum_input_file_size_exceeded", message)
        return
    count = count_lines(content)
    if count == 0:
        yield describe_problem("empty_file", "The input file is empty.")
    if count > max_requests:
        message = f"The batch input file has {count} requests; the maximum is {max_requests}."
        yield describe_problem("maximum_requests_exceeded", message)


class _LineChecker:
    """Judges lines one by one; it remembers the ids and the model of those before."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._ids: set[str] = set()
        self._model: Any = None

    def check(self, text: bytes, number: int) -> BatchLine | Problem:
        try:
            entry = json.loads(text)
        except ValueError:
            message = "This line is not parseable as valid JSON."
            return describe_problem("invalid_json_line", message, line=number)
        code, message, param = self._judge(entry) or (None, "", "")
        if code is not None:
            return describe_problem(code, message, line=number, param=param)
        self._ids.add(entry["custom_id"])
        return BatchLine(entry["custom_id"], entry["body"])

    def _judge(self, entry: Any) -> tuple[str, str, str] | None:
        if not _is_request(entry):
            return "invalid_request", "A line is a POST with custom_id, method, url and body.", "body"
        if entry["custom_id"] in self._ids:
            message = f"The custom_id '{entry['custom_id']}' is used by an earlier line."
            return "duplicate_custom_id", message, "custom_id"
        if entry["url"] != self._endpoint:
            message = f"The url '{entry['url']}' is not the batch endpoint '{self._endpoint}'."
            return "invalid_url", message, "url"
        if self._model is None:
            self._model = entry["body"]["model"]
        if entry["body"]["model"] != self._model:
            message = f"The model '{entry['body']['model']}' differs from the earlier '{self._model}'."
            return "mismatched_model", message, "body.model"
        return None


def _is_request(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("custom_id"), str)
        and entry.get("method") == "POST"
        and isinstance(entry.get("url"), str)
        and isinstance(entry.get("body"), dict)
        and isinstance(entry["body"].get("model"), str)
    )
