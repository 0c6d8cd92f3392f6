"""Rows of JSON: a line for each, a list of them, or one of the shapes in which lists are wrapped.

[{…}, {…}]                            {"data": [{…}, {…}]}
{"rows": [{"row_idx": 0, "row": {…}}]}    {"prompt": ["a", "b"], "id": [1, 2]}
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.encoding import UTF8, find_encoding
from multifaceted.instructions.raw import RawRow, accept_row

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_jsonl(path: Path) -> Iterator[RawRow]:
    """Yield the rows of a file that has one in each line."""
    encoding = find_encoding(path)
    if encoding.startswith(UTF8):
        with path.open("rb") as file:
            yield from _parse_lines(file)
    else:
        with path.open(encoding=encoding, errors="surrogateescape") as text:
            yield from _parse_lines(line.encode(UTF8, "surrogateescape") for line in text)


def _parse_lines(lines: Iterator[bytes] | Any) -> Iterator[RawRow]:
    for number, raw in enumerate(lines, start=1):
        # A byte order mark at the head of the file is no part of the first line.
        line = (raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw).strip()
        if line:
            yield _parse_line(number, line)


def _parse_line(number: int, line: bytes) -> RawRow:
    try:
        data = from_json(line)
    except ValueError as error:
        return RawRow(number, {}, f"is not valid JSON: {error}", line.decode(UTF8, "replace"))
    return accept_row(number, data)


def read_json(path: Path, wanted: Collection[str] | None) -> Iterator[RawRow]:
    """Yield the rows of one JSON value, or of JSON lines that are called so.

    Args:
        path: of the file.
        wanted: fields of a row; an object that has one of them, and is not a table of columns, is a row.

    Raises:
        InputError: where it is neither, or does not say which of its lists has the rows.
    """
    data = path.read_bytes()
    encoding = find_encoding(path)
    text = data.removeprefix(BYTE_ORDER_MARK) if encoding.startswith(UTF8) else data.decode(encoding)
    try:
        value = from_json(text)
    except ValueError as error:
        if _begins_with_row(text):
            yield from read_jsonl(path)
            return
        raise _fault(path, f"is not valid JSON: {error}") from error
    for number, row in enumerate(_find_rows(path, value, wanted or ()), start=1):
        yield accept_row(number, row)


def _begins_with_row(text: bytes | str) -> bool:
    """Return whether the first line is a whole JSON object, so that this is a file of lines."""
    first = next((line for line in text[:1_000_000].splitlines() if line.strip()), b"")
    try:
        return isinstance(from_json(first), dict)
    except ValueError:
        return False


def _find_rows(path: Path, value: Any, wanted: Collection[str]) -> list[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not value:
        raise _fault(path, "is not a JSON list of rows")
    columns = list(value.values())
    if _are_columns(columns):
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    if any(name in value for name in wanted):
        return [value]
    lists = {key: part for key, part in value.items() if _holds_rows(part)}
    if len(lists) > 1:
        named = ", ".join(map(repr, lists))
        raise _fault(path, f"has rows under {named}: write those that you mean into a file of their own")
    if lists:
        [rows] = lists.values()
        wrapped = all(isinstance(row.get("row"), dict) and "row_idx" in row for row in rows)
        return [row["row"] for row in rows] if wrapped else rows
    if all(isinstance(part, dict) for part in columns):  # by number or id
        return columns
    return [value]


def _are_columns(values: list[Any]) -> bool:
    """Return whether these are lists as long as each other, which hold something else than rows."""
    lists = all(isinstance(value, list) and len(value) == len(values[0]) for value in values)
    return lists and not _holds_rows(values[0])


def _holds_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _fault(path: Path, message: str) -> InputError:
    return InputError([Problem(str(path), 0, message)])
