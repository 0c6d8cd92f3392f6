"""What all tests share: no socket leaves this machine, and small real inputs for real runs."""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from fork_server import begin_shared, end_shared

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.planning import compile_plan
from multifaceted.testing import ChatServer, HubServer

with suppress(ImportError):  # `make test-trainers` has no Hypothesis
    from hypothesis import settings

    # A test may be slow on a busy machine: speed is measured in benchmarks/.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")

DIMENSIONS = ("style", "background_knowledge", "informativeness", "harmlessness")
HUB_TOKEN = "hf_" + "w" * 34


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            raise AssertionError(f"a test reached for {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as there are cores: tests wait for servers and for commands."""
    cores = os.cpu_count() or 1
    return cores + (cores + 1) // 2


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start one process that forks commands, for all the processes that run tests."""
    config = session.config
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        begin_shared()


def pytest_sessionfinish() -> None:
    """End it, where this process started it."""
    end_shared()


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer(token=HUB_TOKEN) as running:
        yield running


@pytest.fixture
def use_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What `hub.environment` does for a child process, for libraries that were imported long ago."""
    import datasets  # most tests do without, and it is slow
    from huggingface_hub import HfFileSystem, constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.base_url)
    files = f"{hub.base_url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub_cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no_token"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", hub.base_url)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setenv("HF_TOKEN", HUB_TOKEN)
    HfFileSystem.clear_instance_cache()
    yield
    HfFileSystem.clear_instance_cache()


def write_instructions(path: Path, count: int) -> Path:
    rows = (
        {"id": f"i{n}", "prompt": f"Question {n}: why?", "source": f"s{n % 3}", "original_source": "o"}
        for n in range(count)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


MakeRecipe = Callable[..., Path]


def write_recipe(
    folder: Path, base_url: str, *, count: int = 10, name: str = "recipe.yaml", **changes: Any
) -> Path:
    write_instructions(folder / "instructions.jsonl", count)
    recipe: dict[str, Any] = {
        "name": "multifaceted_collection",
        "seed": 7,
        "instructions": {"path": "instructions.jsonl"},
        "variants": 3,
        "model": {"base_url": base_url, "name": "some-model", "timeout": 5, "retry_wait": 0.01},
        "concurrency": 8,
        "shard_rows": 12,
    }
    path = folder / name
    path.write_text(yaml.safe_dump({**recipe, **changes}), encoding="utf-8")
    return path


@pytest.fixture
def make_recipe(tmp_path: Path) -> MakeRecipe:
    """Write a recipe of ten instructions in three variants; keywords replace or add keys."""
    return partial(write_recipe, tmp_path)


@pytest.fixture
def run(server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path) -> Path:
    """A finished run of six instructions in three variants; the server has forgotten its requests."""
    recipe = make_recipe(server.base_url, count=6)
    asyncio.run(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=RunControl()))
    server.bodies.clear()
    server.paid.clear()
    return tmp_path / "run"
