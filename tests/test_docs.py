"""Every code block of README and docs runs: one test a document, its blocks in order, in a folder of its own.

A block with a `title="…"` is written to a file of that name. Python blocks are scripts, bash blocks run with
`-eu`, YAML, JSON and Jinja blocks must have a title. `console` blocks show what a person types once on a
machine of their own (installing, cloning); `text` blocks show output. A server on port 8000 stands for the
reader's endpoint: the test puts a loopback server in its place. The Hub is a loopback one too.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from multifaceted.testing import ChatServer, HubServer

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENDPOINT = "http://127.0.0.1:8000/v1"
SHOWN_ONLY = {"console", "text"}


def blocks_of(document: Path) -> Iterator[tuple[int, str, str, str]]:
    """(line, language, title, content) of each fenced block."""
    for token in MarkdownIt().parse(document.read_text(encoding="utf-8")):
        if token.type == "fence":
            language, _, attributes = token.info.partition(" ")
            title = re.search(r'title="([^"]+)"', attributes)
            yield (token.map or [0])[0] + 1, language, title[1] if title else "", token.content


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_code_blocks_of_a_document_run(
    document: Path, server: ChatServer, hub: HubServer, tmp_path: Path
) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        **hub.environment,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "HF_HOME": str(tmp_path / "hf"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    work = tmp_path / "work"
    work.mkdir()
    for line, language, title, raw in blocks_of(document):
        content = raw.replace(ENDPOINT, server.base_url)
        if title:
            (work / title).parent.mkdir(parents=True, exist_ok=True)
            (work / title).write_text(content, encoding="utf-8")
        if language in ("python", "bash"):
            script = work / title if title else tmp_path / f"block-{line}"
            script.write_text(content, encoding="utf-8")
            command = [sys.executable, str(script)] if language == "python" else ["bash", "-eu", str(script)]
            result = subprocess.run(
                command, cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=120
            )
            assert result.returncode == 0, f"{document}:{line}\n{result.stdout}\n{result.stderr}"
        else:
            assert title or language in SHOWN_ONLY, f"{document}:{line}: a {language!r} block that is not run"
