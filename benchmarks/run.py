"""Throughput of the whole chain beside the ceiling of a bare client, measured in the same run.

    python benchmarks/run.py [--rows 600] [--concurrency 64] [--latency 0.05]

The server runs in a process of its own, so that its work is not counted as ours.
"""

import argparse
import asyncio
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from multifaceted import pipeline
from multifaceted.generate.control import RunControl
from multifaceted.plan import compile_plan
from multifaceted.testing import ChatServer

VARIANTS = 3
STAGES = 3


def serve(latency: float, connection: Any) -> None:
    """Serve until the other end says stop."""
    with ChatServer(latency=latency) as server:
        connection.send(server.base_url)
        connection.recv()


def cpu_seconds() -> float:
    """CPU time of this process so far, in seconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def run_bare(url: str, requests: int, concurrency: int) -> None:
    """The ceiling: a bare HTTP client that sends small requests and looks at nothing."""
    slots = asyncio.Semaphore(concurrency)
    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def ask(number: int) -> None:
            body = {"model": "m", "seed": number, "messages": [{"role": "user", "content": "Why?" * 50}]}
            async with slots, session.post(f"{url}/chat/completions", json=body) as response:
                await response.read()

        await asyncio.gather(*(ask(number) for number in range(requests)))


async def run_chain(url: str, rows: int, concurrency: int, folder: Path) -> None:
    """What `multifaceted generate` does, from instructions to shards."""
    prompts = (json.dumps({"id": str(n), "prompt": f"Question {n}: why?"}) for n in range(rows // VARIANTS))
    (folder / "instructions.jsonl").write_text("\n".join(prompts))
    recipe = {
        "instructions": {"path": "instructions.jsonl"},
        "variants": VARIANTS,
        "model": {"base_url": url, "name": "m"},
        "concurrency": concurrency,
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    plan = compile_plan(folder / "recipe.yaml")
    data = await pipeline.generate(plan, folder / "run", control=RunControl())
    assert data.ok == rows


def measure(name: str, requests: int, work: Any) -> float:
    """Run once and print a line; gives requests per second."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    asyncio.run(work)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    print(f"| {name} | {requests / wall:,.0f} | {1000 * cpu / requests:.2f} | {wall:.1f} |", flush=True)
    return requests / wall


def main() -> None:
    """Measure both and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    options = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(options.latency, theirs), daemon=True)
    process.start()
    url = ours.recv()
    requests = options.rows * STAGES
    print("| | requests/s | CPU ms/request | s |\n| --- | --- | --- | --- |")
    ceiling = measure("bare client", requests, run_bare(url, requests, options.concurrency))
    with tempfile.TemporaryDirectory() as folder:
        chain = run_chain(url, options.rows, options.concurrency, Path(folder))
        reached = measure("whole chain", requests, chain)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"\nratio to the ceiling {reached / ceiling:.2f}, {reached / STAGES:,.0f} rows/s, "
        f"peak memory {memory:.0f} MB"
    )
    ours.send("stop")
    process.join()


if __name__ == "__main__":
    main()
