"""What has changed in a recipe since a run was started with it: `list_changes(before, after)`.

Example:
    list_changes(before, after)      # ["the template of response", "temperature of response: 1.0 → 0.2"]
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from multifaceted.store.manifest import RunData


@dataclass(frozen=True)
class Described:
    """What a recipe asked for, or asks for: as `run.json` says it, and as the recipe does."""

    data: RunData
    recipe: Mapping[str, Any]  # the keys that the recipe gives


def list_changes(before: Described, after: Described) -> list[str]:
    """Return what rows depend on and is not as it was, in words; empty where rows are the same.

    A larger `max_tokens` asks again for what was cut, and is told as well.
    """
    changes = [*_list_of_run(before.data, after.data), *_list_of_stages(before.data, after.data)]
    if before.data.recipe == after.data.recipe:
        return changes
    return changes or [_guess_rest(before, after)]


def _list_of_run(before: RunData, after: RunData) -> Iterator[str]:
    for name in ("kind", "seed", "variants", "instructions"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name}: {old} → {new}"
    if before.taxonomy["fingerprint"] != after.taxonomy["fingerprint"]:
        old, new = (f"{t['name']} {t['version']}" for t in (before.taxonomy, after.taxonomy))
        yield "the taxonomy" if old == new else f"the taxonomy: {old} → {new}"
    columns = [
        {column.name: column.type for column in data.added if not column.record} for data in (before, after)
    ]
    if columns[0] != columns[1]:
        yield "the kept fields of instructions"


def _list_of_stages(before: RunData, after: RunData) -> Iterator[str]:
    yield from (f"the stage {name} is new" for name in after.stages if name not in before.stages)
    yield from (f"the stage {name} is gone" for name in before.stages if name not in after.stages)
    both = [name for name in after.stages if name in before.stages]
    if both != [name for name in before.stages if name in after.stages]:
        yield "the order of the stages"
    types = [{column.name: column.type for column in data.added if column.record} for data in (before, after)]
    for name in both:
        if before.templates.get(name) != after.templates.get(name):
            yield f"the template of {name}"
        if before.models[name] != after.models[name]:
            yield f"the model of {name}: {before.models[name]} → {after.models[name]}"
        for parameter, new in after.sampling[name].items():
            old = before.sampling.get(name, {}).get(parameter)
            if old != new:
                yield f"{parameter} of {name}: {old} → {new}"
        if name in types[0] and types[0][name] != types[1].get(name):
            yield f"the type of {name}"
    if before.templates.get("repair") != after.templates.get("repair"):
        yield "the template of the repair turn"


def _guess_rest(before: Described, after: Described) -> str:
    if _list_models(before.recipe) == _list_models(after.recipe):
        return "the instructions"
    return "further parameters of a model"


def _list_models(recipe: Mapping[str, Any]) -> list[Any]:
    return [recipe.get("model"), {name: spec.get("model") for name, spec in recipe.get("stages", {}).items()}]
