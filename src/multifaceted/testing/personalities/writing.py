"""How models spoil a text: code fences, thoughts, raw line ends. Pure functions of a text.

Example:
    tag_thoughts('{"a": "b"}')  # <think>, a draft, </think>, and then the text
"""

import json
from collections.abc import Callable
from typing import Any


def is_json(text: str) -> bool:
    """Return whether a text of this server is an instance of a schema."""
    return text.startswith("{")


def fence(text: str) -> str:
    """Return JSON as chat models write it, in a code fence after a sentence."""
    return f"Here is the JSON object:\n\n```json\n{indent(text)}\n```" if is_json(text) else text


def indent(text: str) -> str:
    """Return JSON over several lines."""
    return json.dumps(json.loads(text), indent=2) if is_json(text) else text


def break_lines(text: str) -> str:
    """Return JSON with raw line ends inside its strings, which JSON does not allow."""
    if not is_json(text):
        return text
    return json.dumps(_map_texts(json.loads(text), _break_line)).replace("\\n", "\n")


def think_aloud(text: str) -> str:
    """Return the thoughts of a reasoning model before `text`: a draft stands in them."""
    draft = (
        json.dumps(_map_texts(json.loads(text), lambda _: "a first draft")) if is_json(text) else text[:40]
    )
    return f"Okay, what is wanted here? My first try would be:\n{draft}\nThat is not good enough yet.\n"


def tag_thoughts(text: str, *, opened: bool = True) -> str:
    """Return thoughts in tags before `text`; some chat templates put the opening tag into the prompt."""
    return f"{'<think>' if opened else ''}\n{think_aloud(text)}</think>\n\n{text}"


def cut_half(text: str) -> str:
    """Return the first half of a text."""
    return text[: len(text) // 2]


def _break_line(text: str) -> str:
    # Free text alone: an enumerated value must stay what it is.
    return text.replace(" ", "\n", 1) if text.endswith(".") else text


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {name: _map_texts(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_map_texts(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value
