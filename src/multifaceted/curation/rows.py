"""Filters over the rows of a run, frame by frame: `look_at_rows(paths, filters)` gives ids and findings.

Row filters first, then those that compare variants, then those that compare all rows; each group sees only
what the ones before left, so a row is never dropped for the sake of one that is dropped itself.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa

from multifaceted.curation.base import COLUMNS, Filter, RowFilter, RunFilter, RunFinder, VariantFilter
from multifaceted.errors import InputError, MultifacetedError, Problem
from multifaceted.store.curation import DROP, FINDING
from multifaceted.store.shards import read_batches

# About 36 MB, and a frame takes a few times that; patterns are compiled anew for each.
FRAME_ROWS = 6000
FINDINGS = {"position": pl.UInt32, **FINDING.to_schema()}
IDS = ("position", "id", "instruction_id")

_Looked = tuple[pl.DataFrame, list[pl.DataFrame]]  # the rows that are left, and what was found


def look_at_rows(paths: Iterable[Path], filters: Sequence[Filter]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Run all filters, in the order in which their reasons are listed, over the shards of a run.

    Returns:
        `position`, `id` and `instruction_id` of each row; and what was found, ordered by position.

    Raises:
        InputError: where a filter of one's own fails.
    """
    return look_at_frames(read_frames(paths), filters)


def look_at_frames(
    frames: Iterator[pl.DataFrame], filters: Sequence[Filter]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Do the same over frames that hold whole instructions, with `position` and all of `COLUMNS`."""
    for filter_ in filters:
        filter_.prepare()
    finders = [(filter_, filter_.begin()) for filter_ in filters if isinstance(filter_, RunFilter)]
    ids, found = [pl.DataFrame(schema=dict.fromkeys(IDS, pl.String) | {"position": pl.UInt32})], []
    for rows, (looked, parts) in _look_ahead(frames, filters):
        ids.append(rows.select(IDS))
        found += parts
        left = looked
        for filter_, find in finders:
            findings = _call(filter_, find, left)
            left = _without(left, findings)
            found.append(findings)
    findings = pl.concat(found) if found else pl.DataFrame(schema=FINDINGS)
    order = pl.Series([filter_.name for filter_ in filters], dtype=pl.String)
    ranked = findings.with_columns(_rank=pl.col("reason").replace_strict(order, range(len(order)), default=0))
    return pl.concat(ids), ranked.sort("position", "_rank").drop("_rank")


def read_frames(paths: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """Yield the rows of a run with their `position`, in frames that hold whole instructions."""
    held: list[pa.RecordBatch] = []
    position = 0
    for path in paths:
        for batch in read_batches(path):
            held.append(batch.select(COLUMNS))
            if sum(part.num_rows for part in held) < FRAME_ROWS:
                continue
            table = pa.Table.from_batches(held)
            cut = _last_start(table)
            held = table.slice(cut).to_batches()
            if cut:
                yield _to_frame(table.slice(0, cut), position)
                position += cut
    if held:
        yield _to_frame(pa.Table.from_batches(held), position)


def _last_start(table: pa.Table) -> int:
    """Return where the last instruction begins; it may go on in the next batch."""
    instructions = pl.Series(pl.from_arrow(table.column("instruction_id")))
    return int(instructions.rle_id().search_sorted(instructions.rle_id()[-1]))


def _to_frame(table: pa.Table, position: int) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table)).with_row_index("position", offset=position)


def _look_ahead(
    frames: Iterator[pl.DataFrame], filters: Sequence[Filter]
) -> Iterator[tuple[pl.DataFrame, _Looked]]:
    """Yield each frame in order, with what those filters make of it that need no other frame."""
    workers = os.cpu_count() or 1
    waiting: deque[tuple[pl.DataFrame, Future[_Looked]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for frame in frames:
                waiting.append((frame, pool.submit(_look, frame, filters)))
                if len(waiting) > workers:
                    rows, future = waiting.popleft()
                    yield rows, future.result()
            while waiting:
                rows, future = waiting.popleft()
                yield rows, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _look(rows: pl.DataFrame, filters: Sequence[Filter]) -> _Looked:
    found = [_call(filter_, filter_.find, rows) for filter_ in filters if isinstance(filter_, RowFilter)]
    left = _without(rows, *found)
    for filter_ in filters:
        if isinstance(filter_, VariantFilter):
            findings = _call(filter_, filter_.find, left)
            left = _without(left, findings)
            found.append(findings)
    return left, found


def _call(
    filter_: Filter, find: Callable[[pl.DataFrame], pl.DataFrame] | RunFinder, rows: pl.DataFrame
) -> pl.DataFrame:
    """Return what a filter finds, in the shape of the record."""
    try:
        found = find(rows)
        columns = [
            pl.col(name).cast(kind) if name in found.columns else pl.lit(None, kind).alias(name)
            for name, kind in (("score", pl.Float64), ("partner", pl.String), ("detail", pl.String))
        ]
        return found.select(
            pl.col("position").cast(pl.UInt32),
            pl.lit(filter_.name).alias("reason"),
            pl.col("action") if "action" in found.columns else pl.lit(filter_.action).alias("action"),
            *columns,
        ).unique("position", keep="first", maintain_order=True)
    except MultifacetedError:
        raise
    except Exception as error:
        if type(filter_).__module__.startswith("multifaceted."):
            raise
        # A filter of one's own may raise anything; whose fault it is must be said.
        message = f"fails: {type(error).__name__}: {error}"
        raise InputError([Problem(f"filter {filter_.name}", 0, message)]) from error


def _without(rows: pl.DataFrame, *findings: pl.DataFrame) -> pl.DataFrame:
    dropped = [part.filter(pl.col("action") == DROP)["position"] for part in findings]
    return rows.filter(~pl.col("position").is_in(pl.concat(dropped).implode())) if dropped else rows
