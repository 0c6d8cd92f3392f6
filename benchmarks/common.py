"""What all benchmarks share: a server in a process of its own, a recipe, a clean process to measure in."""

import asyncio
import json
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer

VARIANTS = 3
STAGES = 3
_SPAWN = multiprocessing.get_context("spawn")  # a child that shares no memory with us


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    measured: str
    beside: str  # the ceiling or the ideal, measured or computed in the same run
    target: str
    met: bool

    def as_line(self) -> str:
        """As Markdown."""
        met = "yes" if self.met else "NO"
        return f"| {self.name} | {self.measured} | {self.beside} | {self.target} | {met} |"


@dataclass(frozen=True)
class Cost:
    """What a function took in a process of its own."""

    seconds: float
    cpu: float  # seconds, of all threads
    rss: float  # MB at the peak
    value: Any


class Server:
    """The other end of a `ChatServer` in another process."""

    def __init__(self, connection: Connection, url: str) -> None:
        self._connection = connection
        self.url = url

    def set(self, **attributes: Any) -> None:
        """Change the server while it runs."""
        self._connection.send(("set", attributes))
        self._connection.recv()

    def look(self) -> dict[str, Any]:
        """Answers by status, requests answered, and answers beyond the first of each."""
        return self._ask("look")

    def stats(self) -> dict[str, Any]:
        """The same; all is counted anew from now."""
        return self._ask("stats")

    def _ask(self, word: str) -> dict[str, Any]:
        self._connection.send((word, {}))
        found: dict[str, Any] = self._connection.recv()
        return found


@contextmanager
def serve(**options: Any) -> Iterator[Server]:
    """Serve in a process of its own, so that its work is not counted as ours."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, options), daemon=True)
    process.start()
    try:
        yield Server(ours, ours.recv())
    finally:
        process.kill()
        process.join()


def _serve(connection: Connection, options: dict[str, Any]) -> None:
    with ChatServer(**options) as server:
        connection.send(server.base_url)
        while True:
            word, attributes = connection.recv()
            for name, value in attributes.items():
                setattr(server, name, value)
            statuses = {str(status): count for status, count in server.statuses.items()}
            connection.send({"statuses": statuses, "repeats": server.repeats, "paid": len(server.paid)})
            if word == "stats":
                for counter in (server.statuses, server.paid, server.bodies, server.keys):
                    counter.clear()


def measure(function: Callable[..., Any], *arguments: Any) -> Cost:
    """Call a function in a clean process."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_call, args=(theirs, function, arguments))
    process.start()
    seconds, value = ours.recv()
    process.join()
    cpu, rss = ours.recv()
    return Cost(seconds, cpu, rss, value)


def _call(connection: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    value = function(*arguments)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    connection.send((seconds, value))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    connection.send((cpu, _peak_memory()))


def _peak_memory() -> float:
    """MB of this process. Linux hands `ru_maxrss` down from the parent, even through exec; not so VmHWM."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def write_recipe(folder: Path, url: str, *, rows: int, name: str = "recipe", **changes: Any) -> Path:
    """A recipe for about so many rows."""
    folder.mkdir(parents=True, exist_ok=True)
    count = rows // VARIANTS
    with (folder / f"{name}.jsonl").open("w") as file:
        for number in range(count):
            prompt = f"Question {number}: why does this happen, and what would you do about it? " * 5
            file.write(json.dumps({"id": f"q{number}", "prompt": prompt}) + "\n")
    recipe = {
        "instructions": {"path": f"{name}.jsonl"},
        "variants": VARIANTS,
        "model": {"base_url": url, "name": "m", "prices": {"input": 1, "output": 1, "batch_factor": 0.5}},
        **changes,
    }
    path = folder / f"{name}.json"
    path.write_text(json.dumps(recipe))
    return path


def generate(recipe: Path, run: Path) -> int:
    """What `multifaceted generate` does, from instructions to shards; gives the rows that are ok."""
    data = asyncio.run(pipeline.generate(compile_plan(recipe), run, control=RunControl()))
    return data.ok
