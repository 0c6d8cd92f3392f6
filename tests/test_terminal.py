"""What commands show: no text of anybody's moves the cursor, and no display that fails ends a run."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe, write_recipe
from fork_server import find_command
from test_cli import multifaceted
from test_generate import run

from multifaceted.terminal import show
from multifaceted.testing import ChatServer, Fault, make_reply

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202edesrever"
SHOWN = ("\x1b", "\x07", "\x9b", "\r", "\x08", "\u202e")
COMMAND = [sys.executable, "-m", "multifaceted"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose prompts, replies and failures hold escape sequences."""
    folder = tmp_path_factory.mktemp("terminal")

    def answer(body: dict[str, Any]) -> Fault | None:
        if "Question 7" in json.dumps(body):
            return Fault(status=400, text=json.dumps({"error": {"message": f"no {ESCAPES}"}}))
        text = make_reply(body)
        return None if text.startswith("{") else Fault(content=f"{text} {ESCAPES}")

    with ChatServer(fault=answer) as server:
        recipe = write_recipe(folder, server.base_url, count=12, variants=1)
        pool = folder / "instructions.jsonl"
        rows = [json.loads(line) | {"source": f"s{ESCAPES}"} for line in pool.read_text().splitlines()]
        for row in rows:
            row["prompt"] += ESCAPES
        pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run(recipe, folder / "run")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("preview", "recipe.yaml"),
        ("plan", "recipe.yaml"),
        ("rows", "run"),
        ("rows", "run", "--full"),
        ("rows", "run", "--json"),
        ("why", "run", "i0-v1"),
        ("why", "run", "i0-v1", "--json"),
        ("why", "run", "i7-v1"),
        ("failures", "run"),
        ("failures", "run", "--json"),
        ("status", "run"),
        ("plan", f"{ESCAPES}.yaml"),
        ("check", f"no{ESCAPES}"),
        ("taxonomy", "show", "owned.yaml"),
    ],
)
def test_escape_sequences_are_shown_and_not_obeyed(made: Path, words: tuple[str, ...]) -> None:
    (made / "owned.yaml").write_text(
        json.dumps({"name": "x", "version": "1.0.0", "dimensions": [{"slug": "a", "name": ESCAPES}]})
    )
    ended = multifaceted(*words, cwd=made)
    for sign in SHOWN:
        assert sign not in ended.stdout + ended.stderr, (sign, words)
    if words[0] in ("rows", "why", "preview"):
        assert r"\u001b[2J" in ended.stdout


def test_what_is_plain_stays_as_it_is() -> None:
    text = "Zwölf Boxkämpfer\n\tjagen 写 🙂 \u200d [bold]"
    assert show.plain(text) == text
    assert json.loads(show.plain(json.dumps({"a": "\x7f\x9b"}, ensure_ascii=False))) == {"a": "\x7f\x9b"}


def start(*words: str | Path, cwd: Path, **more: object) -> "subprocess.Popen[str]":
    keys = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more
    return subprocess.Popen([*COMMAND, *map(str, words)], cwd=cwd, **keys)  # type: ignore[call-overload,no-any-return]


def shell(command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    words = ["bash", "-c", command]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    _, told = process.communicate(timeout=60)
    return process.returncode, told or ""


def test_a_reader_that_goes_away_is_no_fault(made: Path) -> None:
    ended = shell(
        f"{sys.executable} -m multifaceted taxonomy show | head -n 1; echo ${{PIPESTATUS[0]}}", made
    )
    assert ended.stdout.splitlines()[-1] == "0"
    assert ended.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_stdout_is_told(made: Path) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        code, told = end(start("rows", "run", "--json", cwd=made, stdout=full))
        assert (code, told) == (2, "error: what is printed could not be written: No space left on device\n")
        process = start("rows", "run", cwd=made, stderr=full)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, bool(out)) == (0, True)


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_a_run_goes_on_without_stdout_as_under_cron(
    make_recipe: MakeRecipe, server: ChatServer, tmp_path: Path, closed: str
) -> None:
    recipe = make_recipe(server.base_url, count=3, variants=1)
    closing = " ".join(f"{n}>&-" for n in closed)
    # Once as cron starts it; forked, the others differ in nothing but the start of Python.
    program = f"{sys.executable} -m multifaceted" if closed == "012" else find_command("multifaceted")
    for words in (
        f"generate {recipe} --run run",
        "status run",
        "rows run",
        "build run --out built",
        "check built",
    ):
        command = f"{program} {words} {closing}"
        ended = shell(command, tmp_path)
        assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), (words, ended.stderr)
    assert multifaceted("check", "run", cwd=tmp_path).returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_run_goes_on_where_its_display_cannot_be_written(
    make_recipe: MakeRecipe, server: ChatServer, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url, count=3, variants=1)
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        words = ("generate", recipe, "--run", "run", "--json")
        code, _ = end(start(*words, cwd=tmp_path, stdout=full, stderr=full))
    assert code == 0
    assert multifaceted("check", "run", cwd=tmp_path).returncode == 0


def test_an_ascii_terminal_shows_everything(made: Path) -> None:
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    environment = {**os.environ, **plain}
    for words in (
        ("rows", "run"),
        ("why", "run", "i0-v1"),
        ("status", "run"),
        ("taxonomy", "show"),
        ("--help",),
    ):
        code, told = end(start(*words, cwd=made, env=environment))
        assert (code, told) == (0, ""), words


@pytest.mark.parametrize("wait", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("completing", [False, True])
def test_ctrl_c_while_it_starts_ends_without_a_word(made: Path, wait: float, completing: bool) -> None:
    environment = dict(os.environ)
    if completing:
        environment |= {
            "_MULTIFACETED_COMPLETE": "complete_bash",
            "COMP_WORDS": "multifaceted st",
            "COMP_CWORD": "1",
        }
    code = "import os; os.write(1, b'.'); from multifaceted.__main__ import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "status", "run"],
        cwd=made,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.read(1)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert process.returncode in (-signal.SIGINT, 130, 0)
