"""Statistics of a dataset, beside reading its rows alone."""

import time
from collections.abc import Iterator
from pathlib import Path

from build import ORIGINAL_ROWS, make_run
from common import Result, measure

from multifaceted.reporting.rows import open_rows, read_frames
from multifaceted.reporting.statistics import measure as measure_rows
from multifaceted.taxonomy import load_taxonomy

MOST_SECONDS, MOST_MEMORY = 60.0, 1500.0


def sum_up(run: Path) -> tuple[float, float]:
    """Seconds of the statistics, and those of going through the rows twice, as the statistics do."""
    began = time.perf_counter()
    measure_rows(open_rows(run), load_taxonomy())
    ours, began = time.perf_counter() - began, time.perf_counter()
    source = open_rows(run)
    for _ in range(2):
        sum(frame.height for frame in read_frames(source))
    return ours, time.perf_counter() - began


def bench(folder: Path, *, rows: int = 30_000) -> Iterator[Result]:
    """One run, measured once."""
    make_run(folder / "run", rows)
    cost = measure(sum_up, folder / "run")
    ours, plain = cost.value
    yield Result(
        f"statistics of {rows:,} rows",
        f"{ours:.1f} s, {cost.rss:,.0f} MB of memory",
        f"going through the rows twice {plain:.1f} s",
        f"< {MOST_SECONDS:.0f} s and < {MOST_MEMORY:,.0f} MB for {ORIGINAL_ROWS:,}",
        ours < MOST_SECONDS and cost.rss < MOST_MEMORY,
    )
