"""Commands that are forked behave like those that start afresh."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fork_server import find_command

SEEN = "import os, sys; print(sys.argv[1:], sys.stdin.read(), os.getcwd(), os.environ['SEEN'], __name__)"


def start(*words: str, cwd: Path, forked: bool = True, **variables: Any) -> subprocess.Popen[str]:
    command = find_command("python") if forked else sys.executable
    return subprocess.Popen(
        [command, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **variables},
    )


def run(script: str, *words: str, cwd: Path, forked: bool = True, **variables: Any) -> tuple[int, str, str]:
    (cwd / "script.py").write_text(script)
    with start("script.py", *words, cwd=cwd, forked=forked, **variables) as process:
        out, told = process.communicate("typed", timeout=30)
    return process.returncode, out, told


def test_a_forked_script_has_arguments_folder_variables_and_files(tmp_path: Path) -> None:
    found = run(SEEN, "a", "b", cwd=tmp_path, SEEN="it")
    assert found == (0, f"['a', 'b'] typed {tmp_path} it __main__\n", "")


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "raise SystemExit",
        "raise SystemExit(3)",
        "raise SystemExit('told')",
        "import os; os._exit(4)",
        "import atexit; atexit.register(print, 'end')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.05), print('end'))).start()",
    ],
)
def test_a_forked_script_ends_as_one_that_starts_afresh(ending: str, tmp_path: Path) -> None:
    script = f"print('begin')\n{ending}\n"
    assert run(script, cwd=tmp_path) == run(script, cwd=tmp_path, forked=False)


def test_an_error_is_shown_and_ends_with_1(tmp_path: Path) -> None:
    code, out, told = run("print('begin')\nraise ValueError('wrong')", cwd=tmp_path)
    assert (code, out, told.splitlines()[-1]) == (1, "begin\n", "ValueError: wrong")


def test_a_signal_that_ends_it_shows_in_the_exit_code(tmp_path: Path) -> None:
    assert run("import os; os.kill(os.getpid(), 15)", cwd=tmp_path)[0] == 128 + 15


@pytest.mark.parametrize(("variables", "imported"), [({}, True), ({"HF_HUB_ETAG_TIMEOUT": "9"}, False)])
def test_variables_that_are_read_once_start_it_afresh(
    variables: dict[str, Any], imported: bool, tmp_path: Path
) -> None:
    script = "import sys; print('multifaceted.cli' in sys.modules)"
    assert run(script, cwd=tmp_path, **variables) == (0, f"{imported}\n", "")


def test_it_is_killed_with_the_command_that_waits_for_it(tmp_path: Path) -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    (tmp_path / "script.py").write_text(script)
    with start("script.py", cwd=tmp_path) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.kill()
    for _ in range(1000):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("it is still there")
