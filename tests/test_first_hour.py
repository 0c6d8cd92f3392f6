"""The first hour: hints that work where one stands, versions, words that Tab completes, narrow terminals."""

import asyncio
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from conftest import write_recipe
from rich.console import Console
from test_cli import multifaceted

from multifaceted import extras, pipeline
from multifaceted.ask.control import RunControl
from multifaceted.planning import compile_plan
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.terminal import show
from multifaceted.terminal.progress import Watcher
from multifaceted.testing import ChatServer


@pytest.mark.parametrize(
    ("origin", "last"),
    [
        ({}, "multifaceted[report]"),
        ({"url": "file:///home/me/a%20b", "dir_info": {"editable": True}}, "/home/me/a b[report]"),
        ({"url": "file:///home/me/x.whl", "archive_info": {}}, "/home/me/x.whl[report]"),
        (
            {"url": "https://example.org/m.git", "vcs_info": {"vcs": "git"}},
            "multifaceted[report] @ https://example.org/m.git",
        ),
    ],
)
def test_an_extra_is_added_to_this_installation(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, object], last: str
) -> None:
    class Installed:
        @staticmethod
        def read_text(name: str) -> str | None:
            return json.dumps(origin) if name == "direct_url.json" and origin else None

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed)
    words = shlex.split(extras.install_command("report"))
    assert words[:4] == [sys.executable, "-m", "pip", "install"]
    assert words[-1] == last
    assert ("--editable" in words) == ("dir_info" in origin)


def test_hints_name_a_program_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "resume with: multifaceted generate recipe.yaml --run multifaceted run"
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/multifaceted")
    assert show.name_program(said) == said
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / ".venv/bin/multifaceted")])
    assert show.name_program("multifaceted plan x") == ".venv/bin/multifaceted plan x"
    monkeypatch.setattr(sys, "argv", ["/elsewhere/bin/multifaceted"])
    assert show.name_program("run `multifaceted plan x`") == "run `/elsewhere/bin/multifaceted plan x`"
    monkeypatch.setattr(sys, "argv", ["/x/__main__.py"])
    assert show.name_program("multifaceted plan x") == f"{sys.executable} -m multifaceted plan x"
    assert show.name_program("the multifaceted_collection, multifaceted.yaml") == (
        "the multifaceted_collection, multifaceted.yaml"
    )


def test_a_hint_in_a_checkout_can_be_run(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "multifaceted", "status", "nix"]
    bare = {**os.environ, "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(words, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    hint = ended.stderr.splitlines()[-1]
    assert hint == f"hint: start one with: {sys.executable} -m multifaceted generate recipe.yaml --run nix"


def test_the_version_is_told() -> None:
    ended = multifaceted("--version")
    assert (ended.returncode, ended.stdout) == (0, f"multifaceted {metadata.version('multifaceted')}\n")


def complete(words: str, folder: Path) -> list[str]:
    """What Tab offers at the end of a line, in bash."""
    asked = {
        "_MULTIFACETED_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }
    start = "import sys; sys.argv[0] = 'multifaceted'; from multifaceted.__main__ import main; main()"
    command = [sys.executable, "-c", start]
    bare = os.environ | asked
    ended = subprocess.run(command, cwd=folder, env=bare, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    return ended.stdout.split()


def test_words_of_options_complete(tmp_path: Path) -> None:
    assert {"refused", "truncated"} <= {*complete("multifaceted failures run --kind ", tmp_path)}
    assert complete("multifaceted retry run --kind trunc", tmp_path) == ["truncated"]
    assert {"refusal", "near_duplicate_system"} <= {*complete("multifaceted curate run --show ", tmp_path)}
    assert complete("multifaceted rows run --reason alike_p", tmp_path) == ["alike_preferences"]


def test_a_table_breaks_no_word_at_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(show, "out", Console(file=written, width=80, highlight=False))
    columns = ["stage", "model", "mode", "replies", "prompt", "cached", "reply", "reasoning", "USD"]
    row = ["system_message", "some-model", "live", 1234567, 12345678, 0, 1234567, 0, "unknown"]
    show.table("", columns, [row], optional=("cached", "reasoning", "USD"))
    head, line = (line.split() for line in written.getvalue().splitlines())
    assert head == ["stage", "model", "mode", "replies", "prompt", "reply"]
    assert line == ["system_message", "some-model", "live", "1,234,567", "12,345,678", "1,234,567"]


def test_a_progress_line_counts_tokens_and_dollars_of_all_starts(server: ChatServer, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, server.base_url, count=4, variants=1, shard_rows=2)
    plan, run = compile_plan(recipe), tmp_path / "run"
    asyncio.run(pipeline.generate(plan, run, control=RunControl(), shards=range(1)))
    again = RunControl()
    asyncio.run(pipeline.generate(plan, run, control=again))
    found = read_status(RunFolder(run))
    assert again.tally.prompt_tokens == sum(int(str(p["prompt_tokens"])) for p in found.spent)
    assert again.tally.completion_tokens == sum(int(str(p["completion_tokens"])) for p in found.spent)
    assert Watcher(again).look().tokens == again.tally.prompt_tokens + again.tally.completion_tokens
