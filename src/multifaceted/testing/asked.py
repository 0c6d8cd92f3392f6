"""Reading from a prompt which JSON object it wants, as a model does that is sent no schema.

Example:
    read_asked_schema([{"role": "user", "content": "… It has exactly these keys: a, b, all of them text."}])

It knows the sentences of the shipped templates: "exactly these keys: …", and "The value of each is an object
with the keys …". A prompt that says it in other words is answered with plain text.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_KEYS = re.compile(
    r"exactly these keys: ([^.\n]+)\.(?: The value of each is an object with the keys ([^.\n]+)\.)?"
)
_NAME = re.compile(r'"?(\w+)"?(?: \(([^)]*)\))?')
_WHOLE = re.compile(r"whole number from (-?\d+) to (-?\d+)")


def read_asked_schema(messages: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the schema that the last message to name keys asks for; None where none does."""
    schema = None
    for message in messages:
        found = _KEYS.search(str(message.get("content") or ""))
        if found and message.get("role") != "assistant":
            inner = {"type": "string"} if found[2] is None else _describe(_read_names(found[2]))
            schema = _describe(
                {name: inner if found[2] else kind for name, kind in _read_names(found[1]).items()}
            )
    return schema


def _read_names(text: str) -> dict[str, Any]:
    named = text.partition(", all of them")[0].replace(" and ", ", ")
    parts = (_NAME.fullmatch(part.strip()) for part in re.split(r", (?![^(]*\))", named))
    return {part[1]: _read_kind(part[2] or "") for part in parts if part}


def _read_kind(hint: str) -> dict[str, Any]:
    whole = _WHOLE.search(hint)
    if whole is None:
        return {"type": "string"}
    return {"type": "integer", "minimum": int(whole[1]), "maximum": int(whole[2])}


def _describe(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}
