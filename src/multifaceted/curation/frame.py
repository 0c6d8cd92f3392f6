"""Filters over a data frame of anybody's: `find(frame, ["refusal"])`."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from multifaceted.curation.base import COLUMNS, Filter
from multifaceted.curation.pairs import PAIR, PAIR_COLUMNS, PAIR_FILTERS, read_last_turn
from multifaceted.curation.recipe import FilterTable
from multifaceted.curation.rows import look_at_frames
from multifaceted.errors import InputError, Problem
from multifaceted.records import PreferenceEntry
from multifaceted.yamlfile import suggest

NEEDED = ("prompt", "output")
_ENTRIES = pl.List(pl.Struct(dict.fromkeys(PreferenceEntry.model_fields, pl.String)))
_EMPTY = {
    "id": pl.col("position").cast(pl.String),
    "instruction_id": pl.col("position").cast(pl.String),
    "variant": pl.lit(1, pl.Int64),
    "system": pl.lit(""),
    "preference_set": pl.lit([], _ENTRIES),
}


def find(data: Any, filters: Sequence[str | Filter] | None = None) -> pl.DataFrame:
    """Run the filters of `curate` over any data frame; nothing is changed.

    Args:
        data: a data frame of Polars or pandas, a `datasets.Dataset` or a list of mappings; with `prompt` and
            `output`, and if there are any `system`, `id`, `instruction_id` and `preference_set`. Pairs
            have `chosen` and `rejected`, text or turns, and if there are any, `score_chosen` and
            `score_rejected`.
        filters: names of filters that ship, or filters of your own; None takes all that have their columns.

    Returns:
        A row for each finding: `position` in the frame, `id`, `reason`, `action` (drop or note), `score`,
        `partner` (the id of the other row) and `detail`.

    Raises:
        InputError: where there is no such filter, or a column is missing.
    """
    frame = _read_pairs(_to_frame(data))
    missing = [name for name in NEEDED if name not in frame.columns]
    if missing:
        raise InputError(
            Problem("frame", 0, f"has no column {name!r}{suggest(name, frame.columns)}") for name in missing
        )
    chosen = _choose(filters, set(frame.columns))
    rows = frame.with_row_index("position").with_columns(
        **{name: made for name, made in _EMPTY.items() if name not in frame.columns}
    )
    texts = [pl.col(name).cast(pl.String).fill_null("") for name in ("system", *NEEDED)]
    pairs = [name for name in PAIR_COLUMNS if name in frame.columns]
    rows = rows.with_columns(*texts, pl.col("id").cast(pl.String)).select("position", *COLUMNS, *pairs)
    ids, findings = look_at_frames(iter([rows]), chosen)
    return findings.join(ids.select("position", "id"), on="position").select(
        "position", "id", "reason", "action", "score", "partner", "detail"
    )


def list_shipped() -> dict[str, Filter]:
    """Return the filters that ship by name, in order; those of pairs last."""
    return dict(FilterTable()) | {filter_.name: filter_ for filter_ in PAIR_FILTERS}


def _read_pairs(frame: pl.DataFrame) -> pl.DataFrame:
    """Texts in place of turns; what was chosen is the output, where there is no other."""
    if not set(frame.columns) >= PAIR:
        return frame
    frame = frame.with_columns(read_last_turn(frame[name]).alias(name) for name in PAIR)
    return frame if "output" in frame.columns else frame.with_columns(output=pl.col("chosen"))


def _to_frame(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if hasattr(data, "to_polars"):  # of `datasets`
        return pl.DataFrame(data.to_polars())
    return data if isinstance(data, pl.DataFrame) else pl.DataFrame(data)


def _choose(filters: Sequence[str | Filter] | None, columns: set[str]) -> list[Filter]:
    shipped = list_shipped()
    if filters is None:
        return [filter_ for filter_ in shipped.values() if filter_.needs <= columns]
    named = [name for name in filters if isinstance(name, str)]
    problems = [
        Problem("filters", 0, f"there is no filter {name!r}{suggest(name, list(shipped))}")
        for name in named
        if name not in shipped
    ]
    chosen = [shipped.get(given) if isinstance(given, str) else given for given in filters]
    problems += _list_lacks([filter_ for filter_ in chosen if filter_], columns)
    if problems:
        raise InputError(problems)
    return [filter_ for filter_ in chosen if filter_]


def _list_lacks(filters: list[Filter], columns: set[str]) -> Iterator[Problem]:
    for filter_ in filters:
        for name in sorted(filter_.needs - columns):
            yield Problem(f"filter {filter_.name}", 0, f"needs a column {name!r}")
