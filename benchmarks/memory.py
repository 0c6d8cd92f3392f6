"""Peak memory by the size of a run, and what it costs to start one that is finished."""

from collections.abc import Iterator
from pathlib import Path

from common import Result, generate, measure, serve, write_recipe

MOST = 300  # MB


def bench(folder: Path, *, sizes: tuple[int, int] = (2100, 12000)) -> Iterator[Result]:
    """A small run and a large one."""
    peaks = []
    with serve() as server:
        for rows in sizes:
            place = folder / f"{rows}"
            cost = measure(generate, write_recipe(place, server.url, rows=rows), place / "run")
            assert cost.value == rows - rows % 3
            peaks.append(cost.rss)
        server.stats()
        again = measure(generate, place / "recipe.json", place / "run")
        asked = server.stats()["paid"]
    small, large = peaks
    yield Result(
        f"peak memory, {sizes[1]:,} rows",
        f"{large:,.0f} MB",
        f"{sizes[0]:,} rows {small:,.0f} MB, ratio {large / small:.2f}",
        f"≤ 1.2 times and < {MOST} MB",
        large <= 1.2 * small and large < MOST,
    )
    yield Result(
        f"finished run of {sizes[1]:,} rows, started again",
        f"{again.seconds:.1f} s, {asked} requests",
        f"{again.seconds / sizes[1] * 200_000:.0f} s for 200,000 rows, if it grows evenly",
        "seconds, 0 requests",
        asked == 0,
    )
