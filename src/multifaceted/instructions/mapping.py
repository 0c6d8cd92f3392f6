"""From a pool's row to an instruction: which field is the prompt, and what the user says in a conversation.

map_row(RawRow(1, {"conversations": [{"from": "human", "value": "Why?"}]}), source)
"""

from dataclasses import dataclass
from typing import Any

from multifaceted.instructions.raw import RawRow
from multifaceted.instructions.sources import Fields
from multifaceted.instructions.turns import NoTurnError, user_turns

_MAX_NAMES = 200  # characters of the names of fields that are worth repeating


@dataclass(slots=True)
class Candidate:
    """A prompt on its way through the steps."""

    pool: int  # number of its source in the recipe
    line: int
    prompt: str
    id: str = ""  # empty where the row has none
    source: str = ""
    original_source: str = ""
    license: str = ""


class NoPromptError(ValueError):
    """A row that has no prompt, and why."""


def map_row(row: RawRow, pool: int, fields: Fields) -> Candidate:
    """Take from a row what its fields name; of a conversation the first that the user says.

    Raises:
        NoPromptError: where there is no prompt.
    """
    parts = [turns[0] for turns in _read_prompts(row, fields) if turns]
    return _make(row, pool, fields, "\n\n".join(parts))


def map_turns(row: RawRow, pool: int, fields: Fields) -> list[Candidate]:
    """Take all that the user says in a row, each turn a prompt of its own, as benchmarks ask them.

    Raises:
        NoPromptError: where there is no prompt.
    """
    fields_turns = _read_prompts(row, fields)
    if max(map(len, fields_turns)) <= 1:
        return [map_row(row, pool, fields)]
    return [_make(row, pool, fields, turn) for turns in fields_turns for turn in turns]


def _read_prompts(row: RawRow, fields: Fields) -> list[tuple[str, ...]]:
    """Return the turns of the user in each prompt field, those of blanks left out."""
    if row.fault:
        raise NoPromptError(row.fault)
    found = []
    for name in fields.prompts:
        try:
            found.append(tuple(turn for turn in user_turns(row.data.get(name)) if turn.strip()))
        except NoTurnError as error:
            raise NoPromptError(f"{name!r} {error}") from error
    if not any(found):
        missing = [name for name in fields.prompts if name not in row.data]
        what = f"{missing[0]!r} is missing" if missing else f"{fields.prompts[0]!r} is empty"
        there = f"; the row has {', '.join(map(str, row.data))[:_MAX_NAMES]}" if missing and row.data else ""
        raise NoPromptError(what + there)
    return found


def _make(row: RawRow, pool: int, fields: Fields, prompt: str) -> Candidate:
    data = row.data
    licenses = [_to_name(data.get(name)) for name in fields.licenses]
    return Candidate(
        pool=pool,
        line=row.line,
        prompt=prompt,
        id=_to_name(data.get(fields.id)),
        source=_to_name(data.get(fields.source)),
        original_source=_to_name(data.get(fields.original_source)),
        license=next(filter(None, licenses), ""),
    )


def _to_name(value: Any) -> str:
    return "" if value is None else str(value)
