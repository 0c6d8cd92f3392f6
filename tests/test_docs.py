"""Every code block of README and docs runs: one test a document, its blocks in order, in a folder of its own.

A block with a `title="…"` is written to a file of that name. Python blocks are scripts, bash blocks run with
`-eu`, YAML, JSON and Jinja blocks must have a title. `console` blocks show what a person types once on a
machine of their own (installing, cloning); `text` blocks show output. A server on port 8000 stands for the
reader's endpoint: the test puts a loopback server in its place. A Python block with the title `server.py` is
a server of the document's own, on port 8001: it is started, on a free port, and ends with the test.
The Hub is a loopback one too, empty for each document. Most commands are forked from a process that has the
package imported (`fork_server`); those of blocks that kill start afresh.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from conftest import HUB_TOKEN
from fork_server import find_command
from markdown_it import MarkdownIt
from nbclient import NotebookClient

from multifaceted.testing import ChatServer, HubServer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NOTEBOOK = ROOT / "docs/how-to/from-python.md"
DOCUMENTS = [README, *sorted({*(ROOT / "docs").rglob("*.md")} - {NOTEBOOK})]
ENDPOINT = "http://127.0.0.1:8000/v1"
OWN_SERVER, OWN_PORT = "server.py", "8001"
KILLS = re.compile(r"^[^#\n]*\bkill\b", re.IGNORECASE | re.MULTILINE)
SHOWN_ONLY = {"console", "text"}


def blocks_of(document: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line, language, title, content) of each fenced block."""
    for token in MarkdownIt().parse(document.read_text(encoding="utf-8")):
        if token.type == "fence":
            language, _, attributes = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', attributes)
            yield (token.map or [0])[0] + 1, language, title[1] if title else "", token.content


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(script: Path, environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
    """Start a document's own server; it listens when this returns."""
    process = subprocess.Popen([sys.executable, str(script)], env=environment, stdin=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert process.poll() is None, f"{script} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{script} does not listen on {port}"
            time.sleep(0.05)
        else:
            return process


def stop_server(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


@dataclass(frozen=True)
class Machine:
    """What the documents share: a hub, the folder of its client, and the variables of a reader."""

    hub: HubServer
    hub_home: Path
    started_afresh: dict[str, str]  # variables with which commands start as a reader's do

    @property
    def forked(self) -> dict[str, str]:
        """Variables with which they are forked."""
        commands = Path(find_command("multifaceted")).parent
        return {**self.started_afresh, "PATH": f"{commands}:{self.started_afresh['PATH']}"}

    def empty(self) -> None:
        """Forget what the last document left."""
        self.hub.store.repos.clear()
        self.hub.store.objects.clear()
        shutil.rmtree(self.hub_home, ignore_errors=True)


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    home = tmp_path_factory.mktemp("hub") / "home"
    with HubServer(token=HUB_TOKEN) as hub:
        bin_folder = str(Path(sys.executable).parent)
        environment = {
            **os.environ,
            **hub.environment,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HF_HOME": str(home),
        }
        yield Machine(hub, home, environment)


def test_the_guide_from_python_runs_as_a_notebook(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a kernel, whose event loop is running while a cell is."""
    blocks = [raw for _, language, _, raw in blocks_of(NOTEBOOK) if language == "python"]
    book = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(raw.replace(ENDPOINT, server.base_url)) for raw in blocks]  # type: ignore[no-untyped-call]
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", ())]
    shown = "\n".join(str(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert [output for output in outputs if output.get("name") == "stderr" and "rows 6 of 6" in output.text]
    assert not [output for output in outputs if "\x1b[" in output.get("text", "")]
    assert "rows: 6 planned, 6 ok" in shown
    assert "nothing is wrong" in shown
    assert "object at 0x" not in shown
    assert (tmp_path / "run/inputs/recipe.yaml").is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_blocks_of_a_document_run(
    document: Path, server: ChatServer, machine: Machine, tmp_path: Path
) -> None:
    machine.empty()
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    afresh, forked = machine.started_afresh | cache, machine.forked | cache
    work, port = tmp_path / "work", find_free_port()
    work.mkdir()
    with ExitStack() as servers:
        for line, language, title, raw in blocks_of(document):
            content = raw.replace(ENDPOINT, server.base_url)
            content = re.sub(rf"\b{OWN_PORT}\b", str(port), content)
            if title:
                (work / title).parent.mkdir(parents=True, exist_ok=True)
                (work / title).write_text(content, encoding="utf-8")
            environment = afresh if KILLS.search(content) else forked
            if title == OWN_SERVER:
                servers.callback(stop_server, start_server(work / title, environment, port))
            elif language in ("python", "bash"):
                script = work / title if title else tmp_path / f"block-{line}"
                script.write_text(content, encoding="utf-8")
                command = ["bash", "-eu"] if language == "bash" else ["python"]
                result = subprocess.run(
                    [*command, str(script)],
                    cwd=work,
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=120,
                )
                assert result.returncode == 0, f"{document}:{line}\n{result.stdout}\n{result.stderr}"
            else:
                assert title or language in SHOWN_ONLY, (
                    f"{document}:{line}: a {language!r} block that is not run"
                )
