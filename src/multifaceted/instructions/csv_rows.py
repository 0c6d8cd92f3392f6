"""Rows of a CSV file: comma, semicolon, tab or bar between cells, and each broken record alone."""

import csv
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.encoding import UTF8, find_encoding
from multifaceted.instructions.raw import RawRow

DELIMITERS = ",;\t|"
MAX_LINES = 2000  # of one record; an opening quote that nothing closes would take in the whole file
_UNCLOSED = "unexpected end of data"  # what the module says of a quote that is open at the end
MAX_RAW = 2000  # characters of a broken record that are worth keeping


def read_csv(path: Path, wanted: Collection[str] | None) -> Iterator[RawRow]:
    """Yield the rows of a file with a header, broken records included.

    Args:
        path: of the file.
        wanted: names that the header may have, by which the delimiter is told.

    Raises:
        InputError: where there is no header.
    """
    # Of the process: the module knows no other way, and 128 KB is too little.
    csv.field_size_limit(sys.maxsize)
    encoding = find_encoding(path)
    encoding = "utf-8-sig" if encoding == UTF8 else encoding
    with path.open(encoding=encoding, errors="surrogateescape", newline="") as file:
        lines = _Lines(file)
        header = lines.take()
        if header is None:
            return
        delimiter = _find_delimiter(header, wanted or ())
        names, fault = _parse(lines, header, delimiter, 0)
        if fault or not names:
            raise InputError([Problem(str(path), 1, f"has no readable header: {fault}")])
        while (line := lines.take()) is not None:
            if line.strip("\r\n"):
                begins = lines.number
                cells, fault = _parse(lines, line, delimiter, len(names))
                yield _make_row(begins, names, cells, fault)


class _Lines:
    """The lines of a file, some of which may be looked at and given back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines, self._ahead = lines, list[str]()
        self.number = 0  # of the line that was taken last

    def take(self) -> str | None:
        line = self._ahead.pop() if self._ahead else next(self._lines, None)
        self.number += line is not None
        return line

    def give_back(self, lines: list[str]) -> None:
        self._ahead += reversed(lines)
        self.number -= len(lines)


def _find_delimiter(header: str, wanted: Collection[str]) -> str:
    """The delimiter that gives most of the wanted names, and of several the one that gives most names."""

    def count(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([header], delimiter=delimiter), [])
        return len({*names} & {*wanted}), len(names)

    return max(DELIMITERS, key=count)  # the first of equal ones: the comma


def _parse(lines: _Lines, line: str, delimiter: str, columns: int) -> tuple[list[str], str]:
    """The cells of the record that begins with a line and may go on over more; or its text, and a fault."""
    taken: list[str] = []
    record = line
    while True:
        try:
            cells = next(csv.reader([record], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            fault = str(error)
        else:
            too_many = columns and len(cells) > columns
            return ([record], "has more cells than the header") if too_many else (cells, "")
        more = _take_until_quote(lines, taken) if _UNCLOSED in fault else ""
        if not more:
            break
        record += more
    if _UNCLOSED in fault or (taken and _is_row(taken[0], delimiter, columns)):
        lines.give_back(taken)  # what stands behind a quote that nothing closes, or nothing but another's
        return [line], "has a quote that nothing closes"
    return [record], f"is not readable CSV: {fault}"


def _take_until_quote(lines: _Lines, taken: list[str]) -> str:
    """Take lines up to one that may close a quote; nothing where none comes within reach."""
    more = ""
    while len(taken) < MAX_LINES and (line := lines.take()) is not None:
        taken.append(line)
        more += line
        if '"' in line:
            return more
    return ""


def _is_row(line: str, delimiter: str, columns: int) -> bool:
    """Return whether a line is a whole row by itself, of a table with several columns."""
    try:
        return len(next(csv.reader([line], delimiter=delimiter, strict=True), [])) == columns > 1
    except csv.Error:
        return False


def _make_row(line: int, names: list[str], cells: list[str], fault: str) -> RawRow:
    if not fault and any(not cell.isascii() and not _is_text(cell) for cell in cells):
        fault, cells = "is not text in the encoding of the file", [" ".join(cells)]
    if fault:
        return RawRow(line, {}, fault, cells[0][:MAX_RAW].encode(UTF8, "replace").decode(UTF8))
    return RawRow(line, dict(zip(names, cells, strict=False)))


def _is_text(cell: str) -> bool:
    try:
        cell.encode(UTF8)
    except UnicodeEncodeError:
        return False
    return True
