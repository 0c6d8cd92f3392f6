"""The result files of a batch: one JSON line for each request, spoiled where a `BatchFault` says so.

Example:
    {"id": "batch_req_…", "custom_id": "r1", "response": {"status_code": 200, "body": …}, "error": null}
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from multifaceted.testing.batch_input import BatchLine
from multifaceted.testing.faults import BatchFault
from multifaceted.testing.replies import Answer
from multifaceted.testing.wire import new_id

_OK = 200
_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}


class LineResult(NamedTuple):
    """What came of one line; only answers with status 200 are `ok` and go to the output file."""

    entry: dict[str, Any]
    ok: bool


def record_answer(line: BatchLine, answer: Answer) -> LineResult:
    """Return the result of a line that was answered, well or badly."""
    response = {"status_code": answer.status, "request_id": new_id("req_"), "body": answer.body}
    return LineResult(_name_entry(line, response=response, error=None), answer.status == _OK)


def record_expiry(line: BatchLine) -> LineResult:
    """Return the result of a line that the batch had no time for."""
    return LineResult(_name_entry(line, response=None, error=_EXPIRED), ok=False)


def count_results(results: Iterable[LineResult]) -> dict[str, int]:
    """Return how many of the lines are completed and how many failed."""
    counts = Counter(result.ok for result in results)
    return {"completed": counts[True], "failed": counts[False]}


def sum_usage(results: Iterable[LineResult]) -> dict[str, Any]:
    """Return the tokens of all completed lines, in the shape of a batch's `usage`."""
    bodies = [result.entry["response"]["body"] for result in results if result.ok]
    usages = [body["usage"] for body in bodies if isinstance(body, dict) and "usage" in body]

    def total(*names: str) -> int:
        return sum(_look_up(usage, *names) for usage in usages)

    return {
        "input_tokens": total("prompt_tokens"),
        "input_tokens_details": {"cached_tokens": total("prompt_tokens_details", "cached_tokens")},
        "output_tokens": total("completion_tokens"),
        "output_tokens_details": {"reasoning_tokens": total("completion_tokens_details", "reasoning_tokens")},
        "total_tokens": total("total_tokens"),
    }


def write_results(results: Sequence[LineResult], fault: BatchFault) -> tuple[bytes, bytes]:
    """Return the output file and the error file, spoiled; either may be empty, and then is not a file."""
    files: dict[bool, list[str]] = {True: [], False: []}
    for position, result in enumerate(results):
        files[result.ok].extend(_write_entry(position, result.entry, fault))
    output, errors = (_join(_arrange(files[ok], fault), fault.line_style) for ok in (True, False))
    return output, errors


def _name_entry(line: BatchLine, *, response: Any, error: Any) -> dict[str, Any]:
    return {
        "id": new_id("batch_req_"),
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }


def _look_up(usage: dict[str, Any], *names: str) -> int:
    value: Any = usage
    for name in names:
        value = value.get(name, {})
    return value or 0


def _write_entry(position: int, entry: dict[str, Any], fault: BatchFault) -> Iterator[str]:
    if position in fault.missing:
        return
    if position in fault.renamed:
        entry = {**entry, "custom_id": f"unknown-{position}"}
    text = json.dumps(_restyle(entry, fault.line_style))
    if position in fault.garbled:
        text = text[: len(text) // 2]
    yield text
    if position in fault.duplicated:
        yield text


def _arrange(texts: list[str], fault: BatchFault) -> list[str]:
    if fault.order == "reversed":
        return texts[::-1]
    if fault.order == "shuffled":
        return random.Random(len(texts)).sample(texts, len(texts))  # noqa: S311 - no secret
    return texts


def _restyle(entry: dict[str, Any], style: str) -> dict[str, Any]:
    """Return the entry as another server writes it."""
    response, error = entry["response"], entry["error"]
    if style == "text_error" and error:
        return {**entry, "error": error["message"]}
    if response is None:
        return entry
    styled = {
        "text_body": {**response, "body": json.dumps(response["body"])},
        "text_status": {**response, "status_code": str(response["status_code"])},
        "no_status": {"body": response["body"]},
        "bare": response["body"],
    }
    return {**entry, "response": styled.get(style, response)}


def _join(texts: list[str], style: str) -> bytes:
    if style == "array" and texts:
        return f"[{','.join(texts)}]\n".encode()
    if style == "windows" and texts:
        return "\ufeff".encode() + "".join(f"{text}\r\n\r\n" for text in texts).encode()
    return "".join(f"{text}\n" for text in texts).encode()
