"""Run the benchmarks and print one table: `python benchmarks/run.py [--only throughput] [--full]`."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import build
import crash
import curate
import journal
import limits
import memory
import prepare
import push
import statistics_of_rows
import throughput
from common import Result

BENCHES: dict[str, Callable[..., Iterator[Result]]] = {
    "throughput": throughput.bench,
    "memory": memory.bench,
    "limits": limits.bench,
    "crash": crash.bench,
    "journal": journal.bench,
    "build": build.bench,
    "statistics": statistics_of_rows.bench,
    "push": push.bench,
    "curate": curate.bench,
    "prepare": prepare.bench,
}

FULL: dict[str, dict[str, Any]] = {
    "memory": {"sizes": (5001, 99_999)},
    "build": {"rows": build.ORIGINAL_ROWS},
    "statistics": {"rows": build.ORIGINAL_ROWS},
    "curate": {"rows": build.ORIGINAL_ROWS},
    "prepare": {"rows": build.ORIGINAL_ROWS},
}


def main() -> int:
    """Print results as they come; 1 where one misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=BENCHES, action="append", help="may be repeated")
    parser.add_argument(
        "--full", action="store_true", help="memory, build and prepare in full size: fifteen minutes more"
    )
    options = parser.parse_args()
    began, all_met = time.perf_counter(), True
    print("| what | measured | beside | target | met |\n| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only or BENCHES:
            place = Path(folder) / name
            sized = FULL.get(name, {}) if options.full else {}
            for result in BENCHES[name](place, **sized):
                print(result.as_line(), flush=True)
                all_met = all_met and result.met
    print(f"\nin {time.perf_counter() - began:.0f} s, on this machine: absolute figures wander, ratios hold")
    return 0 if all_met else 1


if __name__ == "__main__":
    sys.exit(main())
