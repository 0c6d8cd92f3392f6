"""Random damage to files: no command hangs or falls over, and none touches what people wrote.

`MULTIFACETED_FUZZ=5000 pytest tests/test_file_fuzz.py` tries more of it.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from conftest import write_recipe
from fork_server import run_multifaceted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_fuzz import list_paths

from multifaceted.testing import ChatServer

EXAMPLES = int(os.environ.get("MULTIFACETED_FUZZ", "10"))
TAXONOMY = {
    "name": "small",
    "version": "1.0.0",
    "dimensions": [
        {
            "slug": slug,
            "name": slug.title(),
            "description": f"What {slug} is about.",
            "subdimensions": [
                {
                    "slug": f"{slug}_kind",
                    "name": "Kind",
                    "description": f"Which kind of {slug}.",
                    "preferences": [
                        {"slug": f"{slug}_{n}", "name": f"N {n}", "description": f"Prefers {n} of {slug}."}
                        for n in range(3)
                    ],
                }
            ],
        }
        for slug in ("style", "depth")
    ],
}
WRITTEN = {
    "taxonomy.yaml": yaml.safe_dump(TAXONOMY),
    "response.j2": "{% block user %}{{ instruction }} {{ system_message }}{% endblock %}",
    "pool.csv": "prompt,source\nWhat is rain?,a\nWhat is snow in winter?,b\n",
    "pool.json": json.dumps([{"prompt": "Tell me of the sea, please", "id": "p1"}]),
    "sources.yaml": yaml.safe_dump({"sources": [{"path": "pool.csv"}, {"path": "pool.json"}]}),
    "curate.yaml": yaml.safe_dump({"filters": {"refusal": {"max_characters": 800}}}),
    "notes.txt": "of somebody\n",
}
# What a command is to be tried with, after a file that it may read is damaged.
COMMANDS = (
    ("plan", "recipe.yaml", "--run", "run"),
    ("plan", "recipe.yaml", "--json"),
    ("preview", "recipe.yaml"),
    ("generate", "recipe.yaml", "--run", "run"),
    ("generate", "recipe.yaml", "--run", "new"),
    ("retry", "run"),
    ("status", "run"),
    ("rows", "run"),
    ("rows", "built"),
    ("why", "run", "i1-v1"),
    ("failures", "run", "--json"),
    ("curate", "run", "--recipe", "curate.yaml"),
    ("build", "run", "--out", "out"),
    ("build", "run", "--out", "built"),
    ("build", "run", "--partial", "--out", "out"),
    ("check", "built"),
    ("check", "run"),
    ("diff", "built", "pristine"),
    ("export", "built", "--for", "trl", "--task", "sft", "--out", "out"),
    ("instructions", "prepare", "sources.yaml", "--out", "prepared.jsonl"),
    ("taxonomy", "check", "taxonomy.yaml"),
    ("taxonomy", "diff", "taxonomy.yaml", "taxonomy.yaml"),
)
HOSTILE = (
    *("null", "true", "-1", ".nan", "1e400", "99999999999999999999", "[]", "{}", "''", "*a", "!!binary aGk="),
    *("&a [*a]", '"\\0"', '"a\\nb"', "? {a: b}", "{{", "{% for i in range(10**9) %}", "\x1b[31m", "\ufeff"),
    *("../../x", "/dev/zero", "~", "2026-01-01", "0x1F", "a" * 5000, "[" * 3000, "\u2028", "\x85"),
)
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
DAMAGES = st.one_of(
    st.tuples(st.just("cut"), st.integers(0, 10_000), st.none()),
    st.tuples(st.just("flip"), st.integers(0, 10_000), st.integers(0, 7)),
    st.tuples(st.just("insert"), st.integers(0, 10_000), st.sampled_from(HOSTILE).map(str.encode)),
    st.tuples(st.just("insert"), st.integers(0, 10_000), st.binary(min_size=1, max_size=9)),
    st.tuples(st.just("replace"), st.integers(0, 10_000), st.sampled_from(HOSTILE)),
    st.tuples(st.just("drop"), st.integers(0, 10_000), st.none()),
    st.tuples(
        st.just("become"), st.sampled_from(["gone", "empty", "folder", "fifo", "lost link"]), st.none()
    ),
)


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A folder with all that a person has: files written by hand, a run, a built folder, a note."""
    with ChatServer() as server, TemporaryDirectory() as folder:
        place = Path(folder) / "project"
        place.mkdir()
        for name, text in WRITTEN.items():
            (place / name).write_text(text, encoding="utf-8")
        stages = {"response": {"template": "response.j2"}}
        write_recipe(place, server.base_url, count=4, variants=1, taxonomy="taxonomy.yaml", stages=stages)
        for words in (
            ("generate", "recipe.yaml", "--run", "run"),
            ("curate", "run"),
            ("build", "run", "--out", "built"),
            ("build", "run", "--out", "pristine"),
        ):
            made = run_multifaceted(*words, cwd=place)
            assert made.returncode == 0, made.stderr
        yield place


def damage(path: Path, how: tuple[str, Any, Any]) -> None:
    """Damage a file, or put something else into its place."""
    kind, where, what = how
    if kind == "become":
        path.unlink()
        if where == "empty":
            path.touch()
        elif where == "folder":
            path.mkdir()
        elif where == "fifo":
            os.mkfifo(path)
        elif where == "lost link":
            path.symlink_to("nowhere")
        return
    data = path.read_bytes()
    at = where % (len(data) + 1)
    if kind == "cut":
        data = data[:at]
    elif kind == "flip" and data:
        at %= len(data)
        data = data[:at] + bytes([data[at] ^ 1 << what]) + data[at + 1 :]
    elif kind == "insert":
        data = data[:at] + what + data[at:]
    elif path.suffix in (".yaml", ".json"):
        data = change_value(data, where, what)
    path.write_bytes(data)


def change_value(data: bytes, where: int, what: str | None) -> bytes:
    """Take a value out of a YAML or JSON file, or put another one, as it would be written, into its place."""
    value = yaml.safe_load(data)
    paths = list(list_paths(value))
    if not paths:
        return data
    *above, key = paths[where % len(paths)]
    holder = value
    for step in above:
        holder = holder[step]
    if what is None:
        del holder[key]
        return yaml.safe_dump(value).encode()
    holder[key] = "@@"
    return yaml.safe_dump(value).replace("'@@'", what).encode()


def list_states(place: Path) -> dict[str, str]:
    """Everything in a folder: the content of files, and what else stands there."""
    found = {}
    for path in sorted(place.rglob("*")):
        mode = path.lstat().st_mode
        text = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else str(stat.S_IFMT(mode))
        found[path.relative_to(place).as_posix()] = text
    return found


@FUZZ
@given(data=st.data())
def test_whatever_files_hold_commands_end_and_leave_alone_what_is_not_theirs(
    project: Path, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "project"
        shutil.copytree(project, place)
        files = [path for path in sorted(place.rglob("*")) if path.is_file() and path.name != "lock"]
        damaged = data.draw(st.sampled_from(files), label="damaged")
        damage(damaged, data.draw(DAMAGES, label="how"))
        for words in data.draw(st.lists(st.sampled_from(COMMANDS), min_size=1, max_size=2), label="commands"):
            before = list_states(place)
            try:
                ended = run_multifaceted(*words, cwd=place)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{words} hangs") from None
            assert "Traceback" not in ended.stderr + ended.stdout, ended.stderr[-3000:]
            assert ended.returncode in (0, 1, 2, 3), (ended.returncode, ended.stderr[-3000:])
            assert ended.returncode == 0 or (ended.stdout + ended.stderr).strip(), "a failure without a word"
            after = list_states(place)
            own = ("run/", "new/", "out/", "prepared") + (
                ("built/",) if "built" in words[1:] and words[0] == "build" else ()
            )
            lost = {name for name in before if after.get(name) != before[name] and not name.startswith(own)}
            assert lost <= {"run", "new", "out"}, lost
