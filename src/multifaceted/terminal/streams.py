"""stdout and stderr that may fail: a command goes on where only its display cannot be written.

Example:
    displays = open_displays()
    ...
    sys.exit(displays.end(code))
"""

import codecs
import errno
import io
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TextIO

_ESCAPE = "multifaceted.escape"


class Display(io.TextIOWrapper):
    """A stream whose reader may go away, or whose disk may be full; `failure` says so afterwards."""

    failure: OSError | None = None

    def write(self, text: str, /) -> int:
        """Write, or remember why that was not possible."""
        try:
            return super().write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or remember why that was not possible."""
        try:
            super().flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.failure = self.failure or error
        with suppress(OSError, ValueError):  # what is left of it goes nowhere, at the end of the process too
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)


@dataclass(frozen=True)
class Displays:
    """Both streams of a command; None where a program of its own put something else there."""

    out: Display | None
    err: Display | None

    def end(self, code: int, *, tells: bool) -> int:
        """Flush both, and give the exit code.

        Args:
            code: of the command.
            tells: whether what it prints is its result; then it failed where that could not be written.
        """
        for display in (self.out, self.err):
            if display is not None:
                display.flush()
        failure = self.out.failure if self.out is not None else None
        # A reader that has seen enough, such as `head`, is no fault.
        if failure is None or failure.errno == errno.EPIPE:
            return code
        sys.stderr.write(f"error: what is printed could not be written: {failure.strerror}\n")
        sys.stderr.flush()
        return code or (2 if tells else 0)


def open_displays() -> Displays:
    """Put displays into the places of stdout and stderr."""
    codecs.register_error(_ESCAPE, _escape)
    out, err = _replace(sys.stdout), _replace(sys.stderr)
    sys.stdout, sys.stderr = out or sys.stdout, err or sys.stderr
    return Displays(out, err)


def _replace(stream: TextIO) -> Display | None:
    if not isinstance(stream, io.TextIOWrapper):
        return None
    try:
        stream.flush()
        number = stream.fileno()
    except OSError:  # where there is no file behind it
        stream.reconfigure(errors=_ESCAPE)
        return None
    binary = open(number, "wb", closefd=False)  # noqa: SIM115 - closed with the display
    encoding, buffered, through = stream.encoding, stream.line_buffering, stream.write_through
    return Display(binary, encoding=encoding, errors=_ESCAPE, line_buffering=buffered, write_through=through)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal or pipe cannot show as JSON escapes, so that what is JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
