"""What a recipe says of its stages: how the ones that ship differ, and which it adds, in what order.

stages:
  response: {template: mine.j2, model: {temperature: 0.7}}
  korean: {after: response, template: korean.j2, model: {name: other}}
  facts: {after: korean, template: facts.j2, reply: {claims: [string], risk: number}}
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from jinja2.defaults import DEFAULT_NAMESPACE
from pydantic import Field

from multifaceted.fieldtypes import TypeSpec, find_type_faults
from multifaceted.jinjafile import WORDS_OF_JINJA
from multifaceted.models import ModelSpec
from multifaceted.records import Row
from multifaceted.stages import SHIPPED, Stage, make_own_stage
from multifaceted.stages.base import OF_ROW
from multifaceted.stages.own import name_record
from multifaceted.strictmodel import StrictModel
from multifaceted.yamlfile import KeyPath, suggest

# Columns of rows, in a run or published, whose names are no other's; and what rows have beside columns.
TAKEN = frozenset(
    {*Row.model_fields, *dir(Row), "source", "reference_answer"}
    | {column for stage in SHIPPED.values() for column in (stage.column, stage.record)}
)
# Names that mean something else in templates; and `repair`, which stands among them.
VARIABLES = frozenset(
    {*OF_ROW, *DEFAULT_NAMESPACE, *WORDS_OF_JINJA, "repair"}
    | {name for stage in SHIPPED.values() for name in stage.values}
)

# A stage's name is a variable of templates and a column of the rows.
StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]


Line = Annotated[str, Field(pattern=r"^[^\r\n]*$", max_length=200)]


class StageSpec(StrictModel):
    """One stage, as a recipe gives it."""

    template: Path | None = None
    model: ModelSpec | None = None  # the recipe's `model` with what this stage's says
    after: str | None = None  # of a stage of one's own: the stage before it
    reply: TypeSpec = None  # the same: the shape of the JSON that it replies; null for text
    description: Line = ""  # the same: of the column that it adds

    @property
    def is_own(self) -> bool:
        """Return whether it says what only a stage of one's own can."""
        return bool(self.model_fields_set & {"after", "reply", "description"})


Specs = Mapping[str, StageSpec]


def order_stages(shipped: Iterable[Stage], specs: Specs) -> tuple[Stage, ...]:
    """Return the stages of a run: those that ship, and behind each the ones that a recipe puts after it.

    Stages after the same one keep the order of the recipe. The specs must be sound.
    """
    behind: dict[str, list[str]] = {}
    for name, spec in specs.items():
        if name not in SHIPPED and spec.after:
            behind.setdefault(spec.after, []).append(name)

    def follow(stage: Stage) -> Iterator[Stage]:
        yield stage
        for name in behind.get(stage.name, ()):
            yield from follow(
                make_own_stage(name, reply=specs[name].reply, description=specs[name].description)
            )

    return tuple(found for stage in shipped for found in follow(stage))


def find_stage_faults(
    shipped: tuple[Stage, ...], specs: Specs, kept: Iterable[str]
) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with the stages of a recipe, with the path to it.

    Args:
        shipped: the stages that its kind of run has.
        specs: what it says of stages.
        kept: further fields of instructions that it makes columns of.
    """
    names = [stage.name for stage in shipped]
    taken = {*TAKEN, *VARIABLES, *kept}
    for name, spec in specs.items():
        if name in names:
            if spec.is_own:
                yield (name,), "comes with the package: it takes `template` and `model` alone"
        elif name in SHIPPED:
            yield (name,), "a run of this kind has no such stage"
        else:
            known = [*names, *(other for other in specs if other not in SHIPPED and other != name)]
            yield from _find_own_faults(name, spec, known, taken)
    yield from _find_rings(specs)


def _find_own_faults(
    name: str, spec: StageSpec, known: list[str], taken: set[str]
) -> Iterator[tuple[KeyPath, str]]:
    near = suggest(name, known)
    if spec.after is None and (spec.template is None or "did you mean" in near):
        yield (name,), f"is not a stage; one of your own needs `after` and `template`{near}"
        return
    if name in taken or name_record(name) in taken or name.endswith(name_record("")):
        yield (name,), "is taken: a row, or a template, has something of this name already"
    if spec.after is None:
        yield (name,), f"'after' is missing: the stage before it, one of {', '.join(known)}"
    elif spec.after not in known:
        yield (name, "after"), f"there is no stage {spec.after!r}{suggest(spec.after, known)}"
    if spec.template is None:
        yield (name,), "'template' is missing"
    if spec.reply is not None and not isinstance(spec.reply, dict):
        yield (name, "reply"), "must be a map of names to types, such as {claims: [string], risk: number}"
    elif spec.reply is not None:
        for path, message in find_type_faults(spec.reply):
            yield (name, "reply", *path), message


def _find_rings(specs: Specs) -> Iterator[tuple[KeyPath, str]]:
    """Yield stages that wait for each other: they would never be asked."""
    for name in specs:
        seen, here = [name], specs[name].after
        while here is not None and here in specs and here not in seen:
            seen.append(here)
            here = specs[here].after
        if here == name and len(seen) > 1:  # alone, it is not a stage to come after
            yield (name, "after"), f"waits for itself: {' → '.join([*seen, name])}"


def rebase_stage(spec: StageSpec, base: Path) -> StageSpec:
    """Make the paths of a stage good from the present folder."""
    changes: dict[str, Any] = {}
    if spec.template is not None:
        changes["template"] = base / spec.template
    if spec.model is not None:
        changes["model"] = spec.model.rebase(base)
    return spec.model_copy(update=changes)
