"""Charts drawn apart: where one cannot be drawn, that figure alone is missing.

Example:
    with Drawer() as drawer:
        svg, png = drawer.draw(chart.to_dict(), paper="#ffffff", scale=2.0)     # or DrawingError
"""

import base64
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from multifaceted.reporting import renderer

MAX_SECONDS = 120.0  # for one chart, the start of the process included
MAX_REASON = 300  # characters
# No engine draws these, and some end the process; a name in a chart is as good without them.
_UNDRAWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


class DrawingError(Exception):
    """A chart that could not be drawn, and why."""


class Drawer:
    """A process that draws, started when it is needed and again where it ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._said.close()

    def draw(self, chart: dict[str, Any], *, paper: str, scale: float) -> tuple[str, bytes]:
        """SVG and PNG of a chart.

        Raises:
            DrawingError: where it could not be drawn.
        """
        line = json.dumps({"chart": clean_texts(chart), "paper": paper, "scale": scale})
        answer = self._ask(line)
        if "error" in answer:
            raise DrawingError(answer["error"][:MAX_REASON])
        return answer["svg"], base64.b64decode(answer["png"])

    def _ask(self, line: str) -> dict[str, str]:
        process = self._process or self._start()
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the pipes were asked for")
        late = threading.Timer(MAX_SECONDS, process.kill)
        late.start()
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            read = process.stdout.readline()
        except OSError:
            read = ""
        finally:
            late.cancel()
        if read:
            found: dict[str, str] = json.loads(read)
            return found
        raise DrawingError(self._explain_end())

    def _start(self) -> "subprocess.Popen[str]":
        self._said.seek(0)
        self._said.truncate()
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            [
                sys.executable,
                str(Path(renderer.__file__).resolve()),
            ],  # as a script it imports nothing of ours
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for the command, which ends it
        )
        return self._process

    def _explain_end(self) -> str:
        code = self._end()
        self._said.seek(0)
        last = next((line for line in reversed(self._said.read().splitlines()) if line.strip()), "")
        how = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return f"the process that draws ended with {how}{f': {last.strip()}' if last else ''}"[:MAX_REASON]

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            return process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def clean_texts(value: Any) -> Any:
    """Return the same data, without the characters that no engine draws."""
    if isinstance(value, str):
        return _UNDRAWABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {clean_texts(key): clean_texts(item) for key, item in value.items()}
    return [clean_texts(item) for item in value] if isinstance(value, list | tuple) else value
