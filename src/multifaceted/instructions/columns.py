"""Which type a further field of a pool has as a published column, and its values as that type has them.

    account = TypeAccount()
    account.add(3)
    account.add(0.5)
    fit_value(3, account.column_type)  # 3.0, for the column holds numbers

A field whose values have no type in common becomes text, so that every value of a pool has its column.
"""

import json
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import JsonValue

ScalarType = Literal["string", "integer", "number", "boolean"]
ColumnType: TypeAlias = ScalarType | list[ScalarType]  # a list of one: the type of the items


@dataclass
class TypeAccount:
    """What was seen of one field, and the type that follows from it; nulls have no part in it."""

    _scalars: set[ScalarType | None] = field(default_factory=set)
    _items: set[ScalarType | None] = field(default_factory=set)
    _lists: bool = False

    def add(self, value: JsonValue) -> None:
        """Take the value of one more row."""
        if isinstance(value, list):
            self._lists = True
            self._items.update(_type_of(item) for item in value if item is not None)
        elif value is not None:
            self._scalars.add(_type_of(value))

    @property
    def column_type(self) -> ColumnType:
        """Return the type that holds every value so far; text where nothing was seen but nulls."""
        if not self._lists:
            return _join(self._scalars) or "string"
        item = _join(self._items)
        return [item] if item and not self._scalars else "string"


def fit_value(value: JsonValue, column_type: ColumnType) -> JsonValue:
    """Return a value as its column has it; None stays None.

    Args:
        value: of a field, made JSON-able.
        column_type: of the field, from a `TypeAccount` that was given this value.
    """
    if value is None:
        return None
    if isinstance(column_type, list) and isinstance(value, list):
        return [fit_value(item, column_type[0]) for item in value]
    if column_type == "string":
        return _write_text(value)
    return float(value) if column_type == "number" and isinstance(value, int) else value


def _type_of(value: JsonValue) -> ScalarType | None:
    """Return the narrowest type of a scalar; None for an object or a list."""
    if isinstance(value, bool):  # first: to Python it is an int
        return "boolean"
    if isinstance(value, int):
        return "integer" if -(2**63) <= value < 2**63 else "string"  # columns of integers have 64 bits
    if isinstance(value, float):
        return "number"
    return "string" if isinstance(value, str) else None


def _join(types: set[ScalarType | None]) -> ScalarType | None:
    """Return the one type that holds all of these; None where there is none."""
    if types == {"integer", "number"}:
        return "number"
    return None if len(types) > 1 else next(iter(types), "string")


def _write_text(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
