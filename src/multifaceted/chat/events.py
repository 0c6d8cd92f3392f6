r"""Bodies, and server-sent events that hold one: some servers stream though nobody asked them to.

Example:
    read_body('data: {"choices": [{"delta": {"content": "Hi"}}]}\n\ndata: [DONE]\n')   # one completion
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multifaceted.chat.bodies import load_json

_EVENT = re.compile(r"^(?:data|event|id|retry)?:", re.MULTILINE)  # with nothing before it, a comment
_TEXTS = ("content", "reasoning_content", "reasoning", "thinking", "refusal")
_LINE_END = re.compile(r"\r\n|\r|\n")  # and no other: JSON may hold U+2028 and its like as they are
# Where gateways put a completion of another one.
_ENVELOPES = ("data", "result", "response", "output", "body", "completion")


def read_body(body: str) -> dict[str, Any] | None:
    """Read the object that a body is, or that its events make up; None where it is neither."""
    data = load_json(body)
    if data is None:
        data = _join_events(body)
    elif isinstance(data, list):  # chunks, or a body that is wrapped
        chunks = [chunk for chunk in data if isinstance(chunk, dict)]
        data = (
            _join(chunks, is_whole=True)
            if len(chunks) > 1 and _is_chunk(chunks[0])
            else next(iter(chunks), None)
        )
    elif _is_chunk(data):
        lines = [line for line in _LINE_END.split(body) if line.strip()]
        data = data if len(lines) == 1 else _join([load_json(line) for line in lines], is_whole=False)
    return _open_envelope(data) if isinstance(data, dict) else None


def _is_chunk(data: Any) -> bool:
    """Return whether something is a part of a stream; Ollama's own have no choices."""
    if not isinstance(data, dict):
        return False
    choice = _first(data.get("choices"))
    return ("delta" in choice and "message" not in choice) or data.get("done") is False


def _open_envelope(data: dict[str, Any]) -> dict[str, Any]:
    """Return the completion that a gateway wraps into an object of its own, where there is one."""
    if data.get("choices") or "message" in data:
        return data
    for name in _ENVELOPES:
        inner = data.get(name)
        inner = load_json(inner) if isinstance(inner, str) and inner.lstrip().startswith("{") else inner
        if isinstance(inner, dict) and inner.get("choices"):
            return {**data, **inner}
    return data


def _join_events(body: str) -> dict[str, Any] | None:
    """Join the chunks of a stream to the completion that they make up; None where it is not a stream.

    A comment before an ordinary body, by which a gateway keeps a connection open, is passed over.
    """
    if not _EVENT.match(body.lstrip("\ufeff \r\n")):
        return None
    lines = _LINE_END.split(body)
    plain = "\n".join(line for line in lines if not _EVENT.match(line)).strip()
    if plain and isinstance(whole := load_json(plain), dict):
        return whole
    chunks = list(_read_chunks(lines))
    has_end = "[DONE]" in chunks
    chunks = [chunk for chunk in chunks if chunk != "[DONE]"]
    return _join(chunks, is_whole=has_end) if any(isinstance(chunk, dict) for chunk in chunks) else None


def _read_chunks(lines: Iterable[str]) -> Iterator[Any]:
    """Yield the data of each event; one may be spread over several lines."""
    held: list[str] = []
    for line in [*lines, ""]:
        if line.startswith("data:"):
            held.append(line.removeprefix("data:").strip(" \t\ufeff"))
        elif not line.strip() and held:
            yield from _load(held)
            held = []


def _load(held: list[str]) -> Iterator[Any]:
    text = "\n".join(held)
    whole = load_json(text) if len(held) == 1 or not all(line.startswith("{") for line in held) else None
    # Servers that leave out the empty line between two events
    lines = [text] if whole is not None or len(held) == 1 else held
    for line in lines:
        if line:
            yield line if line == "[DONE]" else load_json(line)


def _join(chunks: list[Any], *, is_whole: bool) -> dict[str, Any]:
    """Join chunks; what is none was lost on its way. `is_whole`: the stream came to its end."""
    read = [chunk for chunk in chunks if isinstance(chunk, dict)]
    joined: dict[str, Any] = {}
    texts: dict[str, list[Any]] = {}
    ending: Any = None
    error: Any = None
    choices = 0
    for chunk in read:
        joined |= {name: chunk[name] for name in ("model", "usage") if chunk.get(name)}
        joined |= {name: chunk[name] for name in ("prompt_eval_count", "eval_count") if name in chunk}
        choice = _first(chunk.get("choices")) or (chunk if "done" in chunk else {})
        error = chunk.get("error") or choice.get("error") or error
        ending = choice.get("finish_reason") or choice.get("done_reason") or ending
        is_whole = is_whole or chunk.get("done") is True
        choices += bool(choice)
        delta = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        for name in _TEXTS if isinstance(delta, dict) else ():
            if delta.get(name):
                texts.setdefault(name, []).append(delta[name])
    if choices:
        message: dict[str, Any] = {name: _join_parts(parts) for name, parts in texts.items()}
        # A stream that stops without an ending was broken off on its way, and one may have lost a part.
        ending = "disconnect" if len(read) < len(chunks) else ending or ("" if is_whole else "disconnect")
        joined["choices"] = [{"message": message, "finish_reason": ending}]
    return joined | ({"error": error} if error else {})


def _join_parts(parts: list[Any]) -> Any:
    """Return texts as one; where some came as lists of parts, as Mistral's thoughts do, one list of all."""
    if all(isinstance(part, str) for part in parts):
        return "".join(parts)
    lists = (part if isinstance(part, list) else [part] for part in parts)
    return [part for parts in lists for part in parts]


def _first(choices: Any) -> Mapping[str, Any]:
    choice = choices[0] if isinstance(choices, list) and choices else None
    return choice if isinstance(choice, Mapping) else {}
