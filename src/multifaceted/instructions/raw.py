"""A row of a file as it stands there."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it stands in its file. `line` is its line in JSONL and CSV, elsewhere its number, from 1."""

    line: int
    data: dict[str, Any]
    fault: str = ""  # why it could not be read; `data` is empty then
    raw: str = ""  # what stands there in its place


def accept_row(number: int, data: Any) -> RawRow:
    """Return a row of what was read; NaN, which tables write where nothing is, becomes None."""
    if not isinstance(data, dict):
        return RawRow(number, {}, "is not a JSON object", str(data))
    if any(isinstance(value, float) and value != value for value in data.values()):  # noqa: PLR0124 - is NaN
        data = {
            name: None if isinstance(value, float) and value != value else value  # noqa: PLR0124
            for name, value in data.items()
        }
    return RawRow(number, data)
