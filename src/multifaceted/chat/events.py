r"""Bodies, and server-sent events that hold one: some servers stream though nobody asked them to.

Example:
    read_body('data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n')   # one completion
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multifaceted.chat.bodies import load_json

_EVENT = re.compile(r"^(?:data|event|id|retry)?:", re.MULTILINE)  # with nothing before it, a comment
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


def read_body(body: str) -> dict[str, Any] | None:
    """Read the object that a body is, or that its events make up; None where it is neither."""
    data = load_json(body)
    data = _join_events(body) if data is None else data
    return data if isinstance(data, dict) else None


def _join_events(body: str) -> dict[str, Any] | None:
    """Join the chunks of a stream to the completion that they make up; None where it is no stream.

    A comment before an ordinary body, by which a gateway keeps a connection open, is passed over.
    """
    if not _EVENT.match(body.lstrip("\ufeff \r\n")):
        return None
    plain = "\n".join(line for line in body.splitlines() if not _EVENT.match(line)).strip()
    if plain and isinstance(whole := load_json(plain), dict):
        return whole
    chunks = [chunk for chunk in _read_chunks(body.splitlines()) if isinstance(chunk, dict)]
    return _join(chunks) if chunks else None


def _read_chunks(lines: Iterable[str]) -> Iterator[Any]:
    """The data of each event; one may be spread over several lines."""
    held: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("data:"):
            held.append(line.removeprefix("data:").strip())
        elif not line.strip() and held:
            yield from _load(held)
            held = []


def _load(held: list[str]) -> Iterator[Any]:
    whole = load_json("\n".join(held))
    # Servers that leave out the empty line between two events
    yield from [whole] if whole is not None else [load_json(line) for line in held]


def _join(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    ending: Any = None
    error: Any = None
    choices = 0
    for chunk in chunks:
        joined |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
        choice = _first(chunk.get("choices"))
        error = chunk.get("error") or choice.get("error") or error
        ending = choice.get("finish_reason") or ending
        choices += bool(choice)
        delta = choice.get("delta") or choice.get("message") or {}
        for name in _TEXTS if isinstance(delta, dict) else ():
            if isinstance(delta.get(name), str):
                texts.setdefault(name, []).append(delta[name])
    if choices:
        message: dict[str, Any] = {name: "".join(parts) for name, parts in texts.items()}
        # A stream that stops without an ending was broken off on its way.
        joined["choices"] = [{"message": message, "finish_reason": ending or "disconnect"}]
    return joined | ({"error": error} if error else {})


def _first(choices: Any) -> Mapping[str, Any]:
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, Mapping) else {}
