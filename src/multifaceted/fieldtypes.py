"""Types that people write in recipes: `string`, `number`, `integer`, `boolean`, `[string]`, `{risk: number}`.

    parse_type({"claims": ["string"], "risk": "number"})     # an annotation that pydantic and Arrow know
    json_schema({"claims": ["string"], "risk": "number"})    # what an endpoint is asked for

They describe what a stage of one's own replies, and the columns that a recipe adds to the rows.
"""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, JsonValue
from typing_extensions import TypedDict  # pydantic takes typing's own from Python 3.12 on

TypeSpec: TypeAlias = JsonValue  # one of SCALARS, a list of one type, or a map of name to type

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_INT64 = 2**63
MAX_DEPTH = 8  # of maps and lists inside each other


def _to_whole(value: Any) -> Any:
    """JSON does not tell 3.0 from 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


SCALARS: dict[str, Any] = {
    "string": str,
    "number": Annotated[float, Field(allow_inf_nan=False)],
    "integer": Annotated[int, BeforeValidator(_to_whole), Field(ge=-_INT64, lt=_INT64)],
    "boolean": bool,
}


def find_type_faults(
    spec: TypeSpec, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what is wrong with a type, with the path to it inside of `spec`."""
    if len(path) > MAX_DEPTH:
        yield path, "is nested too deeply"
    elif isinstance(spec, dict):
        if not spec:
            yield path, "names no field"
        for name, inner in spec.items():
            if not NAME.fullmatch(name):
                yield (*path, name), "a name has letters, digits and _, and begins with a letter"
            yield from find_type_faults(inner, (*path, name))
    elif isinstance(spec, list):
        if len(spec) == 1 and isinstance(spec[0], list):
            yield (
                path,
                "a list of lists is not a column: name what an item holds, such as [{cells: [string]}]",
            )
        elif len(spec) == 1:
            yield from find_type_faults(spec[0], (*path, 0))
        else:
            yield path, "a list has one type, such as [string]"
    elif not (isinstance(spec, str) and spec in SCALARS):
        yield (
            path,
            f"is not a type: one of {', '.join(SCALARS)}, a list such as [string], or a map of name to type",
        )


def parse_type(spec: TypeSpec, name: str = "Reply") -> Any:
    """Return the annotation of a sound type: a scalar, `list[...]`, or a `TypedDict` of that name."""
    if isinstance(spec, dict):
        fields = {key: parse_type(inner, f"{name}_{key}") for key, inner in spec.items()}
        return TypedDict(name, fields)  # type: ignore[operator] # its fields are known at run time only
    if isinstance(spec, list):
        return types.GenericAlias(list, parse_type(spec[0], name))
    return SCALARS[str(spec)]


def parse_nullable(spec: TypeSpec, name: str = "Reply") -> Any:
    """Return the annotation of a sound type whose values may be missing, those in a list too."""
    if isinstance(spec, list):
        return types.GenericAlias(list, parse_type(spec[0], name) | None) | None
    return parse_type(spec, name) | None


def json_schema(spec: TypeSpec) -> dict[str, Any]:
    """JSON Schema of a sound type: every field is required and no other is allowed."""
    if isinstance(spec, dict):
        return object_schema({name: json_schema(inner) for name, inner in spec.items()})
    if isinstance(spec, list):
        return {"type": "array", "items": json_schema(spec[0])}
    return {"type": str(spec)}


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def sample_value(spec: TypeSpec, text: str) -> Any:
    """Return a value of a sound type, for a look at what uses it; every string in it says `text`."""
    if isinstance(spec, dict):
        return {name: sample_value(inner, text) for name, inner in spec.items()}
    if isinstance(spec, list):
        return [sample_value(spec[0], text)]
    return {"string": text, "number": 0.5, "integer": 1, "boolean": True}[str(spec)]
