"""From a pool's row to an instruction: which field is the prompt, and the first user turn of a conversation.

map_row(RawRow(1, {"conversations": [{"from": "human", "value": "Why?"}]}), source)
"""

from dataclasses import dataclass
from typing import Any

from multifaceted.instructions.rows import RawRow
from multifaceted.instructions.sources import Fields

USER_ROLES = frozenset({"user", "human", "prompter"})
# Names of role and text in a turn: OpenAI's, ShareGPT's, and the one of some older dumps.
TURN_KEYS = (("role", "content"), ("from", "value"), ("role", "text"))


@dataclass(slots=True)
class Candidate:
    """A prompt on its way through the steps."""

    pool: int  # number of its source in the recipe
    line: int
    prompt: str
    id: str = ""  # empty where the row has none
    source: str = ""
    original_source: str = ""
    licence: str = ""


class NoPromptError(ValueError):
    """A row that has no prompt, and why."""


def map_row(row: RawRow, pool: int, fields: Fields) -> Candidate:
    """Take from a row what its fields name.

    Raises:
        NoPromptError: where there is no prompt.
    """
    if row.fault:
        raise NoPromptError(row.fault)
    data = row.data
    parts = [_to_text(data.get(name), name) for name in fields.prompts]
    prompt = "\n\n".join(part for part in parts if part.strip())
    if not prompt:
        missing = [name for name in fields.prompts if name not in data]
        raise NoPromptError(f"{missing[0]!r} is missing" if missing else f"{fields.prompts[0]!r} is empty")
    return Candidate(
        pool=pool,
        line=row.line,
        prompt=prompt,
        id=_to_name(data.get(fields.id)),
        source=_to_name(data.get(fields.source)),
        original_source=_to_name(data.get(fields.original_source)),
        licence=_to_name(data.get(fields.licence)),
    )


def _to_text(value: Any, name: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _first_user_turn(value, name)
    raise NoPromptError(f"{name!r} is neither text nor a conversation")


def _first_user_turn(turns: list[Any], name: str) -> str:
    for turn in turns:
        if not isinstance(turn, dict):
            break
        for role, text in TURN_KEYS:
            if str(turn.get(role)).lower() in USER_ROLES and turn.get(text) is not None:
                return _content_text(turn[text], name)
    raise NoPromptError(f"{name!r} is a conversation without a user turn")


def _content_text(content: Any, name: str) -> str:
    """The text of a turn; OpenAI's content may be a list of parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [content]
    if not all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts):
        raise NoPromptError(f"the first user turn of {name!r} is not only text")
    return "\n\n".join(part["text"] for part in parts)


def _to_name(value: Any) -> str:
    return "" if value is None else str(value)
