"""Files that people name: opened only where they are files, and read up to a bound.

Example:
    text = read_input_text(Path("recipe.yaml"))     # raises where that is a pipe, which would never end
"""

import errno
import stat
from pathlib import Path

from multifaceted.errors import InputError, Problem

MAX_TEXT = 16 * 1024 * 1024  # bytes of a file that is written by hand and read whole
_MAX_NAME = 300  # characters of a path that are worth repeating


def require_input(path: Path) -> int:
    """Return the size in bytes of a file that is about to be read.

    Raises:
        InputError: where there is none, or something that would never end, such as a pipe or a device.
    """
    try:
        found = path.stat()
    except ValueError as error:  # a NUL in its name
        raise _fault(path, f"cannot be read: {error}") from error
    except OSError as error:
        raise _fault(path, f"cannot be read: {_reason(error)}") from error
    if stat.S_ISDIR(found.st_mode):
        raise _fault(path, "cannot be read: is a folder; name a file in it")
    if not stat.S_ISREG(found.st_mode):
        raise _fault(path, "cannot be read: is a pipe or a device; write it into a file first")
    return found.st_size


def read_input_text(path: Path, *, most: int = MAX_TEXT) -> str:
    """The text of a file that is written by hand, such as a recipe or a template, of at most `most` bytes.

    Raises:
        InputError: where it cannot be read, is not UTF-8, or is longer.
    """
    size = require_input(path)
    if size > most:
        raise _fault(path, f"is too long: {size:,} bytes, where {most:,} are the most")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError([Problem(str(path), line, f"is not UTF-8 text: {error.reason}")]) from error
    except OSError as error:
        raise _fault(path, f"cannot be read: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno == errno.ENAMETOOLONG:
        return "its name is too long"
    return error.strerror or str(error)


def _fault(path: Path, message: str) -> InputError:
    shown = str(path).replace("\0", "\\0")
    return InputError([Problem(shown if len(shown) <= _MAX_NAME else f"{shown[:_MAX_NAME]}…", 0, message)])
