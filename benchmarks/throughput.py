"""Throughput and CPU of the whole chain beside a bare HTTP client that looks at nothing, in the same run."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from common import STAGES, Result, generate, measure, serve, write_recipe

BODY = {"model": "m", "messages": [{"role": "user", "content": "Why does this happen?" * 40}]}


def ask_bare(url: str, requests: int, concurrency: int) -> None:
    """The ceiling."""

    async def ask_all() -> None:
        numbers = iter(range(requests))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask() -> None:
                for number in numbers:
                    post = session.post(f"{url}/chat/completions", json={**BODY, "seed": number})
                    async with post as response:
                        await response.read()

            await asyncio.gather(*(ask() for _ in range(concurrency)))

    asyncio.run(ask_all())


def bench(folder: Path, *, rows: int = 3000) -> Iterator[Result]:
    """At 64 requests in flight and 50 ms, and at 512 and 200 ms."""
    for concurrency, latency in ((64, 0.05), (512, 0.2)):
        with serve(latency=latency) as server:
            requests = rows * STAGES
            bare = measure(ask_bare, server.url, requests, concurrency)
            recipe = write_recipe(folder / f"{concurrency}", server.url, rows=rows, concurrency=concurrency)
            ours = measure(generate, recipe, folder / f"{concurrency}" / "run")
        assert ours.value == rows
        place = f"{concurrency} in flight, {1000 * latency:.0f} ms"
        rate, ceiling = rows / ours.seconds, requests / bare.seconds / STAGES
        yield Result(
            f"throughput, {place}",
            f"{rate:,.0f} rows/s = {rate * STAGES:,.0f} requests/s",
            f"bare client {ceiling:,.0f} rows/s, ratio {rate / ceiling:.2f}",
            "≥ 200 rows/s",
            rate >= 200,  # noqa: PLR2004
        )
        cpu, bare_cpu = (1000 * cost.cpu / requests for cost in (ours, bare))
        yield Result(
            f"CPU of a request, {place}",
            f"{cpu:.2f} ms",
            f"bare client {bare_cpu:.2f} ms",
            "≤ 1.4 ms",
            cpu <= 1.4,  # noqa: PLR2004
        )
