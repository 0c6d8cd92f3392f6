"""What the fields of a config are and mean: `describe_fields(SftRow)`, for the card and for Croissant.

Names and types are those of the published schema, meanings the descriptions that stand in the models.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.store.schema import arrow_schema


@dataclass(frozen=True, slots=True)
class Column:
    """One field, or one field inside of another."""

    path: tuple[str, ...]  # names from the row inwards
    type: pa.DataType
    meaning: str
    repeated: bool = False  # a list
    inner: tuple["Column", ...] = ()  # fields of a struct, or of the structs in a list

    @property
    def name(self) -> str:
        """Return its own name, without those above it."""
        return self.path[-1]

    @property
    def kind(self) -> str:
        """Return the type in words, such as `list of struct`."""
        innermost = self.type.value_type if self.repeated else self.type
        word = "struct" if self.inner else str(innermost)
        return f"list of {word}" if self.repeated else word


def describe_columns(model: type[BaseModel], above: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """Return the fields of a row model, in order, each with those inside of it."""
    found = zip(arrow_schema(model), model.model_fields.values(), strict=True)
    return tuple(_describe(field, above, info.description or "", info.annotation) for field, info in found)


def _describe(field: pa.Field, above: tuple[str, ...], meaning: str, annotation: Any) -> Column:
    path, repeated = (*above, field.name), pa.types.is_list(field.type)
    kind = field.type.value_type if repeated else field.type
    innermost = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    if isinstance(innermost, type) and issubclass(innermost, BaseModel):
        inner = describe_columns(innermost, path)
    elif pa.types.is_struct(kind):  # of a shape that a recipe states, without words
        inner = tuple(_describe(part, path, "", None) for part in kind)
    else:
        inner = ()
    return Column(path, field.type, meaning, repeated, inner)


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One line of a table of fields."""

    name: str  # `preference_set[].dimension`
    type: str  # `list of struct`
    meaning: str


def describe_fields(model: type[BaseModel]) -> list[FieldLine]:
    """Return the lines of a model's table of fields; structs of one kind are told once, and referred to."""
    return list(_tell(describe_columns(model), "", {}))


def _tell(columns: tuple[Column, ...], above: str, told: dict[pa.DataType, str]) -> Iterator[FieldLine]:
    for column in columns:
        name = f"{above}{column.name}"
        struct = column.type.value_type if column.repeated else column.type
        before = told.get(struct) if column.inner else None
        meaning = f"{column.meaning}; fields as in `{before}`" if before else column.meaning
        yield FieldLine(name, column.kind, meaning)
        if column.inner and not before:
            told[struct] = name
            yield from _tell(column.inner, f"{name}{'[]' if column.repeated else ''}.", told)
