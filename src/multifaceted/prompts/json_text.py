"""JSON objects in a model's text, as far as their meaning is certain: `list_objects(text)`.

Models write line ends inside strings, trailing commas, comments, single quotes, Python's words for true and
null, and prose and code fences around the object. All of that has one meaning, and is read. What would have
to be guessed is not, such as an object that is cut, or a quotation mark too many: the model is asked again.
"""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

import json5

# How an object begins, so that a brace in prose is none.
_START = re.compile(r"""\{\s*(?:["'}]|//|/\*|[A-Za-z_]\w*\s*:)""")
# Escapes that JSON does not know. What is meant may be the sign alone, or both: LaTeX has `\(`.
_UNKNOWN_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\[^"'\\/bfnrtu\n\r]""")
_MOST = 200  # objects in one reply that are looked at
_SLOW = 20_000  # characters, beyond which the lenient readers, written in Python, would take seconds


class JsonError(ValueError):
    """Why an object cannot be read."""


def list_objects(text: str) -> list[dict[str, Any] | JsonError]:
    """List the objects that stand in a text one after the other; a fault stands for one that is broken."""
    found: list[dict[str, Any] | JsonError] = []
    position = 0
    while len(found) < _MOST and (start := _START.search(text, position)):
        value, position = _read_object(text, start.start())
        found.append(value)
    return found or _read_quoted(text)


def _read_quoted(text: str) -> list[dict[str, Any] | JsonError]:
    """Return the object in a JSON string, where the whole text is one."""
    try:
        inner = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return list_objects(inner) if isinstance(inner, str) else []


def _read_object(text: str, start: int) -> tuple[dict[str, Any] | JsonError, int]:
    """Return the object that begins at `start`, and the position after it."""
    try:
        return _DECODER.raw_decode(text, start)
    except JsonError as error:
        return error, _find_end(text, start)
    except RecursionError:
        return JsonError("the JSON is nested too deeply"), len(text)
    except ValueError as error:
        broken = JsonError(f"the JSON is broken: {error}")
    end = _find_end(text, start)
    return _read_leniently(text[start:end]) or broken, end


def _read_leniently(piece: str) -> dict[str, Any] | JsonError | None:
    """Return an object by wider grammars than JSON's; None where they do not help either."""
    if len(piece) > _SLOW or _UNKNOWN_ESCAPE.search(piece):
        return None
    for read in (_read_json5, _read_python):
        try:
            return read(piece)
        except JsonError as error:
            return error
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _find_end(text: str, start: int) -> int:
    """Return the position after the brace that closes the one at `start`; the text's end where none does."""
    depth, quote, position = 0, "", start
    while position < len(text):
        sign = text[position]
        if sign == "\\":
            position += 1
        elif quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in "{}":
            depth += 1 if sign == "{" else -1
            if depth == 0:
                return position + 1
        position += 1
    return len(text)


def _read_json5(piece: str) -> dict[str, Any]:
    found: dict[str, Any] = json5.loads(piece, strict=False, object_pairs_hook=_unite)
    return found


def _read_python(piece: str) -> dict[str, Any]:
    found = _to_value(ast.parse(piece, mode="eval").body)
    assert isinstance(found, dict)  # noqa: S101 - it begins with a brace and a key
    return found


def _to_value(node: ast.expr) -> Any:
    """Return the value of a Python literal, as far as JSON has its like."""
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [_to_value(key) for key in node.keys if key is not None]
        if all(isinstance(key, str) for key in keys):
            return _unite(list(zip(keys, map(_to_value, node.values), strict=True)))
    if isinstance(node, ast.List | ast.Tuple):
        return [_to_value(element) for element in node.elts]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _to_value(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | bool | None):
        return node.value
    raise ValueError("is not JSON")


def _unite(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    data = dict(pairs)
    if len(data) != len(pairs):
        raise JsonError("a key stands twice in one JSON object")
    return data


# `strict=False` takes line ends and tabs inside strings.
_DECODER = json.JSONDecoder(object_pairs_hook=_unite, strict=False)
