"""Rows of a run or a built folder by what they hold, and by what curation says of them.

Example:
    for row in iter_rows(Path("run"), where=["subdimension=clarity", "output~sorry"], limit=20):
        print(row["id"], row["output"])
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from multifaceted.building.source import RowSource, RunSource, open_source
from multifaceted.curation.judge_spec import LOW_SCORE, UNJUDGED
from multifaceted.curation.secrets import mask_nested
from multifaceted.errors import InputError, Problem
from multifaceted.store.curation import DROP, curation_folder, read_curation, read_record
from multifaceted.store.run_folder import RunFolder
from multifaceted.yamlfile import suggest

_CONDITION = re.compile(r"\s*([^=~]*?)\s*([=~])(.*)", re.DOTALL)
_COLUMNS = {  # as people name them → as rows do
    "id": "id",
    "instruction_id": "instruction_id",
    "variant": "variant",
    "source": "main_source",
    "original_source": "original_source",
    "prompt": "prompt",
    "system": "system",
    "output": "output",
}
_ENTRY = ("dimension", "subdimension", "preference", "description")  # of one preference of a row


@dataclass(frozen=True, slots=True)
class Condition:
    """`FIELD=VALUE`, which is the whole of it, or `FIELD~TEXT`, which is in it in whatever case."""

    field: str
    contains: bool
    value: str

    def holds(self, found: Any) -> bool:
        """Return whether a value is as wanted; of a list one element is enough."""
        if isinstance(found, list):
            return any(self.holds(inner) for inner in found)
        if found is None:
            found = ""
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        return self.value.casefold() in text.casefold() if self.contains else self.value == text


def iter_rows(
    folder: str | os.PathLike[str],
    *,
    where: Sequence[str] = (),
    reason: str | None = None,
    kept: bool | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield finished rows at any moment of a run, in order, with its columns; secrets are masked.

    Args:
        folder: a run folder, at work or done, or a built folder.
        where: conditions that all have to hold, such as `dimension=style` or `output~sorry`. Those on
            `dimension`, `subdimension`, `preference` and `description` hold for one preference of the row.
        reason: only rows that curation dropped for this reason.
        kept: only rows that curation keeps, or only those that it drops.
        limit: at most so many.

    Raises:
        InputError: for an unknown field or reason, with the nearest known name; where there is no curation
            to go by.
        StorageError: where the folder is neither, or cannot be read.
    """
    source = open_source(Path(folder), curated=False, whole=False)
    conditions = parse_conditions(where, source)
    wanted = _find_judged(source, reason, kept)
    found = (row for batch in source.read_rows() for row in _pick(batch, conditions, wanted))
    return (mask_nested(row) for row in islice(found, limit))


def parse_conditions(where: Iterable[str], source: RowSource) -> list[Condition]:
    """Read conditions on the rows of a source.

    Raises:
        InputError: listing every one that is none.
    """
    fields = [*_COLUMNS, *_ENTRY, *(column.name for column in source.run.added)]
    conditions, problems = list[Condition](), list[Problem]()
    for text in where:
        given = _CONDITION.fullmatch(text)
        if given is None:
            message = (
                f"{text!r} is not a condition: write FIELD=VALUE, or FIELD~TEXT for a text that contains it"
            )
            problems.append(Problem("--where", 0, message))
        elif given[1] not in fields:
            problems.append(Problem("--where", 0, f"unknown field {given[1]!r}{suggest(given[1], fields)}"))
        else:
            contains = given[2] == "~"
            conditions.append(Condition(given[1], contains, given[3] if contains else given[3].strip()))
    if problems:
        raise InputError(problems)
    return conditions


def _pick(
    batch: pa.RecordBatch, conditions: Sequence[Condition], wanted: Callable[[str], bool] | None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a batch that are as wanted; only the columns that decide are read of the others."""
    names = {_COLUMNS.get(c.field, c.field) for c in conditions if c.field not in _ENTRY}
    on_entry = [c for c in conditions if c.field in _ENTRY]
    decisive = batch.select(sorted({*names, "id", *(["preference_set"] if on_entry else [])}))
    for index, row in enumerate(decisive.to_pylist()):
        if (
            (wanted is None or wanted(row["id"]))
            and all(c.holds(row[_COLUMNS.get(c.field, c.field)]) for c in conditions if c not in on_entry)
            and (
                not on_entry
                or any(all(c.holds(entry[c.field]) for c in on_entry) for entry in row["preference_set"])
            )
        ):
            yield batch.slice(index, 1).to_pylist()[0]


def _find_judged(source: RowSource, reason: str | None, kept: bool | None) -> Callable[[str], bool] | None:
    """Return which ids are as curation is asked for; None where it is not asked.

    Raises:
        InputError: where there is no curation, or no such reason.
    """
    if reason is None and kept is None:
        return None
    option = "--reason" if reason is not None else "--kept" if kept else "--dropped"
    if not isinstance(source, RunSource):
        if reason is None and kept:
            return lambda _: True
        message = f"{source.path} is a built folder, which holds no dropped row"
        raise InputError([Problem(option, 0, message)], hint="look into the run that it was built from")
    folder = curation_folder(RunFolder(source.path))
    data = read_curation(folder)
    if data is None:
        hint = f"curate it with: multifaceted curate {source.path}"
        raise InputError([Problem(option, 0, f"{source.path} was never curated")], hint=hint)
    known = [*data.filters, LOW_SCORE, UNJUDGED]
    if reason is not None and reason not in known:
        message = f"no filter is called {reason!r}{suggest(reason, known)}"
        raise InputError([Problem(option, 0, message)])
    record, dropped = read_record(folder), pl.col("verdict") == DROP
    if reason is not None:
        dropped &= pl.col("reasons").list.contains(reason)
    named = frozenset(record.filter(~dropped if kept else dropped)["id"])
    return named.__contains__
