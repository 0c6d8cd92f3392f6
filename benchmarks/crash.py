"""A run killed several times and resumed: what is paid for twice, and whether the shards are the same."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common import Result, Server, serve, write_recipe

CONCURRENCY = 64


def bench(folder: Path, *, rows: int = 900, kills: int = 5) -> Iterator[Result]:
    """Killed at random moments."""
    with serve(latency=0.05) as server:
        recipe = write_recipe(folder, server.url, rows=rows, concurrency=CONCURRENCY)
        _start(recipe, folder / "whole").communicate()
        server.stats()
        began = time.perf_counter()
        for _ in range(kills):
            process = _start(recipe, folder / "killed")
            _wait_for_work(server, process)
            time.sleep(random.uniform(0, 1))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        _start(recipe, folder / "killed").communicate()
        seconds, repeats = time.perf_counter() - began, server.stats()["repeats"]
    same = _shards(folder / "whole") == _shards(folder / "killed")
    yield Result(
        f"{kills} times kill -9 in {rows:,} rows",
        f"{repeats} replies paid for twice, shards {'identical' if same else 'DIFFER'}",
        f"{kills} times {CONCURRENCY} in flight, {seconds:.0f} s in all",
        "≤ in flight at each kill, identical",
        same and repeats <= kills * CONCURRENCY,
    )


def _start(recipe: Path, run: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "multifaceted", "generate", str(recipe), "--run", str(run)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_for_work(server: Server, process: subprocess.Popen[bytes]) -> None:
    before = _paid(server)
    while _paid(server) == before and process.poll() is None:
        time.sleep(0.02)


def _paid(server: Server) -> int:
    return int(server.look()["paid"])


def _shards(run: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(run.glob("shards/*/rows.arrow"))]
