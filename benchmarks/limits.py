"""How close a run comes to a limit of requests per minute, and how seldom it is refused."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from common import STAGES, Result, generate, measure, serve, write_recipe

LIMIT = 3000.0  # requests per minute


def bench(folder: Path, *, rows: int = 501) -> Iterator[Result]:
    """A limit told in headers, one found out from 429s, and one that is halved in mid-run."""
    requests = rows * STAGES
    ideal = 60 * requests / LIMIT
    for name, options, most_time, most_refused in (
        ("in headers", {}, 1.08, 0.01),
        ("from 429s alone", {"limit_headers": False}, 1.25, 0.15),
    ):
        with serve(latency=0.05, requests_per_minute=LIMIT, **options) as server:
            place = folder / name.replace(" ", "-")
            cost = measure(generate, write_recipe(place, server.url, rows=rows), place / "run")
            statuses = server.stats()["statuses"]
        refused = statuses.get("429", 0) / sum(statuses.values())
        yield Result(
            f"{LIMIT:,.0f} requests/min, {name}",
            f"{cost.seconds:.1f} s, {refused:.1%} refused",
            f"ideal {ideal:.1f} s, ratio {cost.seconds / ideal:.2f}",
            f"≤ {most_time} times, < {most_refused:.0%}",
            cost.seconds <= most_time * ideal and refused < most_refused,
        )
    yield _halved(folder / "halved", rows)


def _halved(folder: Path, rows: int) -> Result:
    with serve(latency=0.05, requests_per_minute=LIMIT) as server:
        recipe = write_recipe(folder, server.url, rows=rows)
        run = threading.Thread(target=measure, args=(generate, recipe, folder / "run"))
        run.start()
        time.sleep(12)
        server.set(requests_per_minute=LIMIT / 2)
        time.sleep(2)  # to follow it
        server.stats()
        time.sleep(6)
        statuses = server.stats()["statuses"]
        run.join()
    answered, refused = statuses.get("200", 0) / 6, statuses.get("429", 0) / sum(statuses.values())
    return Result(
        "a limit halved in mid-run, 2 s later",
        f"{answered:.1f} requests/s, {refused:.1%} refused",
        f"allowed {LIMIT / 120:.1f} requests/s",
        "followed within seconds, < 5%",
        refused < 0.05,  # noqa: PLR2004
    )
