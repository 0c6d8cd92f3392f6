"""Runs in processes of their own, killed in the middle: nothing is lost, nothing is paid for twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import MakeRecipe
from fork_server import run_multifaceted

from multifaceted.building.folder import build_folder
from multifaceted.ids import hash_file
from multifaceted.testing import ChatServer

CONCURRENCY = 8


def start(recipe: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "multifaceted", "generate", str(recipe), "--run", str(run), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> None:
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 0, shown


def complete(recipe: Path, run: Path) -> None:
    """Generate in a process that nothing disturbs."""
    made = run_multifaceted("generate", recipe, "--run", run)
    assert made.returncode == 0, made.stderr


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def kill_at(process: subprocess.Popen[str], server: ChatServer, requests: int) -> None:
    wait_until(lambda: sum(server.paid.values()) >= requests or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: server.in_flight == 0)


def built(run: Path, out: Path) -> dict[str, str]:
    build_folder(run, out)
    return {p.relative_to(out).as_posix(): hash_file(p) for p in out.rglob("*") if p.is_file()}


def test_a_run_killed_three_times_ends_as_one_that_was_not(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    with ChatServer(latency=0.01) as server:
        recipe = make_recipe(server.base_url, count=30, concurrency=CONCURRENCY, shard_rows=20)
        complete(recipe, tmp_path / "whole")
        first = len(server.bodies)
        server.paid.clear()
        moments = sorted(random.Random(os.urandom(8)).sample(range(1, 270), 3))
        for moment in moments:
            kill_at(start(recipe, tmp_path / "killed"), server, moment)
        complete(recipe, tmp_path / "killed")
        assert first == 270
        assert len(server.paid) == 270
        assert server.repeats <= CONCURRENCY * len(moments)
    assert built(tmp_path / "killed", tmp_path / "a") == built(tmp_path / "whole", tmp_path / "b")


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_saves_the_state_and_exits_with_130(
    make_recipe: MakeRecipe, tmp_path: Path, times: int
) -> None:
    with ChatServer(latency=0.3) as server:
        recipe = make_recipe(server.base_url, concurrency=CONCURRENCY)
        process = start(recipe, tmp_path / "run")
        wait_until(lambda: len(server.paid) >= CONCURRENCY)
        wait_until(lambda: server.in_flight > 0)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, shown = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "everything is saved" in shown
        assert "Traceback" not in shown
        paid = len(server.paid)
        server.latency = 0
        complete(recipe, tmp_path / "run")
        # Once: what was in flight came in. Twice: it was given up, and is the most that is asked again.
        assert server.repeats <= (0 if times == 1 else CONCURRENCY)
        assert paid < len(server.paid) == 90


def test_a_second_interrupt_does_not_wait_for_requests_that_hang(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=60) as server:
        model = {"base_url": server.base_url, "name": "m", "timeout": 120}
        process = start(make_recipe(server.base_url, model=model), tmp_path / "run")
        wait_until(lambda: server.in_flight > 0)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        _, shown = process.communicate(timeout=20)
        assert (process.returncode, "Traceback" in shown) == (130, False)


def test_processes_that_share_a_run_by_its_shards_do_not_disturb_each_other(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=0.05) as server:
        recipe = make_recipe(server.base_url)
        parts = [start(recipe, tmp_path / "run", "--shards", f"{n}") for n in range(3)]
        for part in parts:
            finish(part)
        complete(recipe, tmp_path / "run")
        assert server.repeats == 0
        assert len(server.paid) == 90


def test_a_second_process_on_the_same_run_is_refused_and_the_first_goes_on(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(latency=1) as server:
        recipe = make_recipe(server.base_url)
        first = start(recipe, tmp_path / "run")
        wait_until(lambda: len(server.bodies) > 0)
        second = start(recipe, tmp_path / "run")
        _, shown = second.communicate(timeout=30)
        assert second.returncode == 2
        assert "another process works on shard" in shown
        server.latency = 0
        finish(first)
        assert server.repeats == 0
