"""What a filter is measured on: cases with a label that is not ours, in two halves.

The half of a case is decided by its prompt or its kind, before anybody has looked at it. Rules are written by
the half "write" and reported by the half "report".
"""

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One row, and whether a filter should object to it."""

    output: str
    faulty: bool
    prompt: str = ""
    system: str = ""
    group: str = ""  # language, model or format; figures are given for each on request
    key: str = ""  # decides the half; empty: the prompt does
    half: str = ""  # "write" or "report", where it was decided otherwise


@dataclass(frozen=True)
class CaseSet:
    """Cases of one source under one rule of labelling."""

    name: str
    reasons: tuple[str, ...]  # of filters; a row counts as found where one of them objects
    rule: str  # how labels came about
    make: Callable[[], Iterator[Case]]
    baseline: Callable[[Case], bool]  # what papers use
    find: Callable[[Sequence[Case]], list[bool]] | None = None  # what is no filter of rows; else the reasons


def is_reported(case: Case) -> bool:
    """Return whether a case is in the half that figures are reported on."""
    if case.half:
        return case.half == "report"
    return draw(case.key or case.prompt or case.output, 2) == 1


def choose_half(cases: Iterable[Case], half: str) -> list[Case]:
    """Return the cases of a half, or of "all"."""
    return [case for case in cases if half == "all" or is_reported(case) == (half == "report")]


def read_labels(name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a file in `labels/`."""
    with (Path(__file__).parent / "labels" / f"{name}.csv").open(encoding="utf-8") as file:
        yield from csv.DictReader(file)


def draw(text: str, count: int) -> int:
    """Return a number below `count` that is always the same for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % count
