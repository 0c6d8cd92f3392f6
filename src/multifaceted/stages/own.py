"""Stages that a recipe adds: text, or JSON of a stated shape, from a template and nothing else.

Example:
    make_own_stage("facts", reply={"claims": ["string"], "risk": "number"})
"""

from functools import partial
from typing import Any

from pydantic import TypeAdapter

from multifaceted.fieldtypes import TypeSpec, json_schema, parse_type, sample_value
from multifaceted.prompts.reply import check_reply, read_json
from multifaceted.stages.base import Draft, Schema, Stage

TEXT_TOKENS = 400  # of a reply that nobody has seen yet
JSON_TOKENS = 200


def make_own_stage(name: str, *, reply: TypeSpec = None, description: str = "") -> Stage:
    """A stage of one's own, and the column that it adds; `reply` is the shape of its JSON, None for text."""
    shared: dict[str, Any] = {
        "name": name,
        "column": name,
        "record": name_record(name),
        "description": description or f"what the stage `{name}` of the recipe made",
    }
    if reply is None:
        return Stage(**shared, tokens=TEXT_TOKENS, type_spec="string")
    annotation, schema = parse_type(reply, name), json_schema(reply)
    adapter = TypeAdapter[Any](annotation)

    def ask_for(_: Draft, *, small: bool) -> Schema:
        del small
        return schema

    def read(_: Draft, text: str) -> Any:
        return read_json(text, partial(check_reply, adapter, strict=True))

    return Stage(
        **shared,
        annotation=annotation,
        tokens=JSON_TOKENS,
        schema=ask_for,
        read=read,
        sample=lambda _: sample_value(reply, f"[what the model writes in {name}]"),
        type_spec=reply,
    )


def name_record(name: str) -> str:
    """Return the column of a run's rows that says how a stage of one's own was made."""
    return f"{name}_record"
