"""Arrow schemas derived from the pydantic models: `arrow_schema(Row)`.

One schema is used for every batch: left to infer types, Arrow would give equal rows different schemas.
"""

from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel
from typing_extensions import get_type_hints, is_typeddict

_SCALARS: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@cache
def arrow_schema(model: type[BaseModel]) -> pa.Schema:
    """Return the Arrow schema of a model, bare of metadata so that older `datasets` read it too.

    Raises:
        TypeError: for a field that has no Arrow counterpart here.
    """
    fields = model.model_fields.items()
    return pa.schema([pa.field(info.alias or name, _arrow_type(info.annotation)) for name, info in fields])


def _arrow_type(annotation: Any) -> pa.DataType:
    origin = get_origin(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if origin is Annotated:
        return _arrow_type(get_args(annotation)[0])
    if origin is list:
        return pa.list_(_arrow_type(get_args(annotation)[0]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return pa.struct(list(arrow_schema(annotation)))
    if is_typeddict(annotation):
        fields = get_type_hints(annotation, include_extras=True).items()
        return pa.struct([pa.field(name, _arrow_type(inner)) for name, inner in fields])
    if origin in (UnionType, Union):
        members = [member for member in get_args(annotation) if member is not NoneType]
        if len(members) == 1:  # every column takes nulls
            return _arrow_type(members[0])
        raise TypeError(f"{annotation}: one column has one type")
    raise TypeError(f"{annotation} has no Arrow type here")
