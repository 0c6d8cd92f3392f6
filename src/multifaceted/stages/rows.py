"""What the rows of a run hold: `make_row_type(stages, kept)`, a model that its shards are written by."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import create_model

from multifaceted.fieldtypes import parse_nullable
from multifaceted.records import Row, StageRecord
from multifaceted.stages.base import Stage


def make_row_type(stages: Iterable[Stage], kept: Mapping[str, Any]) -> type[Row]:
    """Return the model of a run's rows.

    Args:
        stages: each adds a column, and one that says how it was made.
        kept: types of the further fields of instructions that become columns, by name.
    """
    fields: dict[str, Any] = {}
    for stage in stages:
        fields[stage.column] = (stage.annotation, ...)
        fields[stage.record] = (list[StageRecord] if stage.per_preference else StageRecord, ...)
    fields |= {name: (parse_nullable(spec), None) for name, spec in kept.items()}
    further = {name: field for name, field in fields.items() if name not in Row.model_fields}
    return create_model("Row", __base__=Row, **further) if further else Row
