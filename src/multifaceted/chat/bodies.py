"""JSON bodies as others write them: `load_json(text)` gives the value, or None where it is not JSON."""

import json
import math
import re
from typing import Any

_NO_TEXT = re.compile(r"\x00|\\u(?:0000|[dD][89a-fA-F])")  # what no text holds, or may be half a character
_DIGITS = 20  # of a number, beyond which it counts as infinite; Python refuses to read some thousands


def load_json(text: str) -> Any:
    """Read a JSON text; numbers without bound become infinite, half characters are replaced by U+FFFD.

    What comes after it is passed over: gateways append to bodies, and what was paid for is whole by then.
    """
    try:
        data, _ = _DECODER.raw_decode(text.lstrip("\ufeff \t\r\n"))
        # `\ud83d` without its other half is valid JSON, but no text: it has no UTF-8 form. Nor is NUL one.
        return _mend(data) if _NO_TEXT.search(text) or not is_text(text) else data
    except (ValueError, RecursionError):
        return None


def is_text(text: str) -> bool:
    """Return whether a text can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def mend_text(text: str) -> str:
    """Put U+FFFD in the place of each half character, and leave NUL out."""
    text = text.replace("\0", "")
    return text if is_text(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def _mend(data: Any) -> Any:
    if isinstance(data, str):
        return mend_text(data)
    if isinstance(data, dict):
        return {mend_text(name): _mend(value) for name, value in data.items()}
    return [_mend(value) for value in data] if isinstance(data, list) else data


_DECODER = json.JSONDecoder(parse_int=_read_int, strict=False)
