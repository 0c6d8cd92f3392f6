"""The recipe: everything a run is made from, in one YAML file, or made in Python.

    recipe = load_recipe("recipe.yaml")
    recipe = Recipe(instructions=["Why is the sky blue?"], model={"base_url": "http://…", "name": "mine"})
    recipe.model_for("response").label

Relative paths are read from the folder of the recipe's file, in Python from the present one.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from multifaceted.errors import InputError, Problem
from multifaceted.instructions import MemoryRows
from multifaceted.kinds import KINDS, Kind, KindName
from multifaceted.models import EndpointModel, LocalModel, Model, ModelSpec, expand_model, merge_model
from multifaceted.models.sending import SendingSpec
from multifaceted.planning.given import InstructionsSpec, LanguageCode, LicenseId, TaxonomySource, take_rows
from multifaceted.planning.stages import (
    StageName,
    StageSpec,
    find_stage_faults,
    order_stages,
    rebase_stage,
)
from multifaceted.stages import Stage
from multifaceted.taxonomy import Taxonomy
from multifaceted.yamlfile import YamlDocument, read_yaml

StopAfter = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1)] | None,
    Field(union_mode="left_to_right"),
]
_MODEL = TypeAdapter[Model](ModelSpec)
# What a stage's `model` takes, and no stage by itself.
_OF_MODEL = frozenset(name for kind in (EndpointModel, LocalModel) for name in kind.model_fields)


def _kind_in(given: Mapping[str, Any]) -> Kind:
    """Return the kind among the fields that were found sound so far."""
    return KINDS[given.get("kind", "collection")]


class Recipe(SendingSpec):
    """The one configuration model of a run: `Recipe(instructions=…, model=…)`, and any key of a recipe file.

    `instructions` is a path, what a recipe file says of one, or the rows themselves: texts, mappings, a
    `datasets.Dataset`, a data frame of Polars or pandas, an Arrow table. `model` is a mapping with `base_url`
    and `name`, or `"local"`. `taxonomy` is a `Taxonomy`, the path of a file, or `"default"`.

    Raises:
        InputError: with every problem.
    """

    kind: KindName = "collection"  # first: other defaults follow from it
    name: str = Field(
        default_factory=lambda given: _kind_in(given).title,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=96,
    )
    seed: int = 7
    instructions: Annotated[InstructionsSpec, BeforeValidator(take_rows)]
    taxonomy: TaxonomySource = "default"
    variants: int = Field(default_factory=lambda given: _kind_in(given).variants, ge=1, le=100)
    model: ModelSpec
    stages: dict[StageName, StageSpec] = Field(default_factory=dict, max_length=100)
    repair: Path | None = None  # in place of the shipped template of the turn after an invalid reply
    # A whole number of rows, or the share of the finished rows (looked at from 100 of them on).
    stop_after_failures: StopAfter = None
    shard_rows: int = Field(default=2000, ge=1)
    license: LicenseId | None = None  # of the collection; this and the languages are told in its card
    language: tuple[LanguageCode, ...] = ()

    if not TYPE_CHECKING:  # type checkers see the fields

        def __init__(self, **given: Any) -> None:
            try:
                super().__init__(**given)
            except ValidationError as error:
                found = [fault for fault in error.errors() if fault["type"] != "default_factory_not_called"]
                raise InputError(map(_name_fault, found)) from error
            faults = find_stage_faults(KINDS[self.kind].stages, self.stages, self.instructions.keep)
            problems = [Problem("Recipe", 0, message, _spell(("stages", *at))) for at, message in faults]
            if problems:
                raise InputError(problems)

        # Tells pydantic that this is called from Python alone, and not where a file is validated.
        __init__.__pydantic_base_init__ = True

    @model_validator(mode="before")
    @classmethod
    def _complete_models(cls, data: Any) -> Any:
        """Give each stage's model what it leaves out, so that it is checked like any other."""
        if not isinstance(data, dict):
            return data
        stages = data.get("stages")
        if not isinstance(stages, dict):
            return data
        base = _to_keys(data.get("model"))
        return {**data, "stages": {name: _complete(spec, base) for name, spec in stages.items()}}

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        names = [*(stage.name for stage in KINDS[self.kind].stages), *self.stages]
        self.check_mode([self.model_for(name) for name in names])
        return self

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(model.label for model in self.models.values()))
        return f"<recipe {self.name}: {self.instructions.path} in {self.variants} variants, by {models}>"

    def model_for(self, stage: str) -> Model:
        """Return the model of one stage: its own, else that of the run."""
        spec = self.stages.get(stage)
        return spec.model if spec is not None and spec.model is not None else self.model

    @property
    def ordered_stages(self) -> tuple[Stage, ...]:
        """Return every stage of the run, in order."""
        return order_stages(KINDS[self.kind].stages, self.stages)

    @property
    def models(self) -> dict[str, Model]:
        """Return the model of each stage."""
        return {stage.name: self.model_for(stage.name) for stage in self.ordered_stages}

    @property
    def instructions_per_shard(self) -> int:
        """Whole instructions in a shard, so that all variants of one stand in the same shard."""
        return max(1, self.shard_rows // self.variants)


def _to_keys(model: Any) -> dict[str, Any]:
    """A sound model as the keys that it was given; of a faulty one nothing that would be told twice."""
    try:
        found = _MODEL.validate_python(model)
    except ValidationError:
        is_local = isinstance(model, dict) and model.get("kind") == "local"
        return {"kind": "local"} if is_local else {"name": "-", "base_url": "http://-"}
    return {name: getattr(found, name) for name in {"kind", *found.model_fields_set}}


def _complete(spec: Any, base: Mapping[str, Any]) -> Any:
    model = expand_model(spec.get("model")) if isinstance(spec, dict) else None
    if not isinstance(model, dict):
        return spec
    return {**spec, "model": merge_model(base, model)}


def _name_fault(fault: Any) -> Problem:
    return Problem("Recipe", 0, fault["msg"].removeprefix("Value error, "), _spell(fault["loc"]))


def _spell(place: Iterable[str | int]) -> str:
    return ".".join(map(str, place))


def load_recipe(path: str | Path) -> Recipe:
    """Load a recipe, its paths made relative to the present folder.

    Raises:
        InputError: with every problem and its line.
    """
    path = Path(path)
    document = read_yaml(path)
    moved = list(_find_moved(document))
    data = _drop_keys(document.data, [where for where, _ in moved])
    told = [document.problem(where, message) for where, message in moved]
    recipe = replace(document, data=data).validate(Recipe, more=told)
    shipped = KINDS[recipe.kind].stages
    faults = find_stage_faults(shipped, recipe.stages, recipe.instructions.keep)
    problems = [document.problem(("stages", *where), message) for where, message in faults]
    if problems:
        raise InputError(problems)
    return rebase_recipe(recipe, path.parent)


def _find_moved(document: YamlDocument) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys that stood elsewhere in former recipes, and how they are written now."""
    data = document.data if isinstance(document.data, dict) else {}
    if "templates" in data:
        new = "stages: {response: {template: mine.j2}}, and for the repair turn repair: mine.j2"
        yield ("templates",), f"templates stand with their stages now: {new}"
    stages = data.get("stages")
    for name, spec in stages.items() if isinstance(stages, dict) else ():
        for key in spec if isinstance(spec, dict) else ():
            if key in _OF_MODEL:
                new = f"{name}: {{model: {{{key}: …}}}}"
                yield ("stages", name, key), f"{key!r} stands in the stage's model now: {new}"


def _drop_keys(data: Any, paths: list[tuple[str, ...]]) -> Any:
    """Return a copy of plain data without the keys at some paths."""
    if not paths or not isinstance(data, dict):
        return data
    gone = {path[0] for path in paths if len(path) == 1}
    below = {key: [path[1:] for path in paths if path[0] == key and len(path) > 1] for key in data}
    return {key: _drop_keys(value, below[key]) for key, value in data.items() if key not in gone}


def rebase_recipe(recipe: Recipe, base: Path) -> Recipe:
    """Return the paths of a recipe are written from its own folder; make them good from the present one."""
    pool = recipe.instructions.path
    instructions = recipe.instructions.model_copy(
        update={"path": pool if isinstance(pool, MemoryRows) else base / pool}
    )
    taxonomy = recipe.taxonomy
    return recipe.model_copy(
        update={
            "instructions": instructions,
            "model": recipe.model.rebase(base),
            "taxonomy": taxonomy
            if taxonomy == "default" or isinstance(taxonomy, Taxonomy)
            else str(base / taxonomy),
            "stages": {name: rebase_stage(spec, base) for name, spec in recipe.stages.items()},
            "repair": base / recipe.repair if recipe.repair else None,
        }
    )
