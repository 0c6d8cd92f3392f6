"""Declare, compile, run: a recipe is compiled to a `Plan`, which knows every row and has spent nothing.

Example:
    plan = compile_plan(Path("recipe.yaml"))
    plan.rows, plan.shards[0]
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from multifaceted.errors import InputError, Problem
from multifaceted.ids import content_id, seed_from
from multifaceted.instructions import ColumnType, read_instructions
from multifaceted.kinds import KINDS, Kind
from multifaceted.models import Model
from multifaceted.planning.pool import Shard, hash_instructions, read_pool
from multifaceted.planning.recipe import Recipe, load_recipe
from multifaceted.prompts.template import Template, ask_again, load_repair, load_template
from multifaceted.records import Instruction, Row, RowTask
from multifaceted.stages import Prompts, Stage
from multifaceted.stages.rows import make_row_type
from multifaceted.taxonomy import Taxonomy, load_taxonomy, sample_preference_sets

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True)
class Plan:
    """A recipe with everything it names loaded and checked."""

    path: Path  # of the recipe
    recipe: Recipe
    prompts: Prompts
    shards: tuple[Shard, ...]
    instructions_per_shard: int  # of every shard but the last
    licenses: Mapping[str, str] = field(default_factory=dict)  # of the instructions, by source
    kept: Mapping[str, ColumnType] = field(default_factory=dict)  # further fields that become columns

    @property
    def kind(self) -> Kind:
        """Return what is made."""
        return KINDS[self.recipe.kind]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return what each row is asked, in order."""
        return self.prompts.stages

    @cached_property
    def models(self) -> dict[str, Model]:
        """Return the model of each stage."""
        return self.recipe.models

    @cached_property
    def row_type(self) -> type[Row]:
        """Return what its rows hold."""
        return make_row_type(self.stages, self.kept)

    @property
    def instructions(self) -> int:
        """Return how many instructions the run takes."""
        return self.shards[-1].stop

    @property
    def rows(self) -> int:
        """Return how many rows the run plans: every instruction in every variant."""
        return self.instructions * self.recipe.variants

    def rows_in(self, shard: Shard) -> int:
        """Return how many rows a shard plans."""
        return (shard.stop - shard.start) * self.recipe.variants

    def read_shards(self, wanted: list[Shard]) -> Iterator[tuple[Shard, list[Instruction]]]:
        """Yield each wanted shard, in order, with its instructions; no more than one shard is held.

        Raises:
            InputError: where the file is no longer what was compiled.
        """
        reader = iter(self.read_instructions())
        position = 0
        for shard in wanted:
            for _ in islice(reader, shard.start - position):
                pass
            instructions = list(islice(reader, shard.stop - shard.start))
            position = shard.stop
            if hash_instructions(instructions) != shard.digest:
                message = "has changed since the run began; run again to compile it anew"
                raise InputError([Problem(str(self.recipe.instructions.path), 0, message)])
            yield shard, instructions

    def first_tasks(self, count: int) -> list[RowTask]:
        """Return the first `count` rows, for previews."""
        tasks = (task for instruction in self.read_instructions() for task in self.tasks_of(instruction))
        return list(islice(tasks, count))

    def tasks_of(self, instruction: Instruction) -> list[RowTask]:
        """Return the rows of one instruction, one for each variant."""
        seed, taxonomy = self.recipe.seed, self.prompts.taxonomy
        sampled = sample_preference_sets(taxonomy, f"{seed}:{instruction.id}", n=self.recipe.variants)
        return [
            RowTask(instruction, variant, preferences, seed_from(seed, instruction.id, variant))
            for variant, preferences in enumerate(sampled, start=1)
        ]

    def fingerprint(self, model_names: Mapping[str, str]) -> dict[str, Any]:
        """Return the values hashed into every shard's fingerprint; changing one invalidates finished rows.

        They are what a row depends on besides its instruction and the replies. Left out, because rows do not
        depend on them: the recipe's name, paths, base URLs, API keys, limits, prices, timeouts, attempts,
        concurrency, mode, licenses, languages, and the order in which shards are made. `max_tokens` decides
        only whether a reply is complete, and failures remember what cut them.
        """
        models = {name: [model_names[name], model.counted] for name, model in self.models.items()}
        return {
            "seed": self.recipe.seed,
            "variants": self.recipe.variants,
            "taxonomy": self.prompts.index.fingerprint,
            "stages": [[stage.name, stage.type_spec] for stage in self.stages],
            "kept": dict(self.kept),
            "templates": self.prompts.hashes,
            "models": models,
        }

    def shard_fingerprint(self, shard: Shard, run_fingerprint: Mapping[str, Any]) -> str:
        """Return the hash by which a finished shard is known as the one this plan asks for."""
        return content_id(["shard", run_fingerprint, shard.start, shard.stop, shard.digest])

    def read_instructions(self) -> Iterator[Instruction]:
        """Return the instructions that the run takes, one at a time."""
        spec = self.recipe.instructions
        return read_instructions(
            spec.path, limit=spec.limit, metadata=_list_fields(self.recipe, self.prompts.templates)
        )


def compile_plan(source: Path | Recipe, *, instructions_per_shard: int | None = None) -> Plan:
    """Load and check everything a recipe names.

    Args:
        source: the recipe, or its file.
        instructions_per_shard: how an earlier start of the same run cut it; None cuts by `shard_rows`.

    Raises:
        InputError: with every problem of the recipe; or, where the recipe itself is sound, with every
            problem of the taxonomy, the templates and the instructions together.
    """
    path, recipe = (Path("recipe"), source) if isinstance(source, Recipe) else (source, load_recipe(source))
    problems: list[Problem] = []

    def attempt(load: Callable[[], _Loaded]) -> _Loaded | None:
        try:
            return load()
        except InputError as error:
            problems.extend(error.problems)
            return None

    stages = recipe.ordered_stages
    taxonomy = attempt(partial(_load_taxonomy, recipe))
    found = {stage.name: attempt(partial(_load_template, recipe, stages, stage)) for stage in stages}
    templates = {name: template for name, template in found.items() if template is not None}
    repair = attempt(lambda: load_repair(recipe.repair))
    size = instructions_per_shard or recipe.instructions_per_shard
    pool = attempt(partial(read_pool, recipe, size, _list_fields(recipe, templates)))
    if taxonomy is not None and repair is not None and pool is not None and len(templates) == len(stages):
        prompts = Prompts(taxonomy, stages, templates, repair, pool.fields)
        plan = Plan(path, recipe, prompts, pool.shards, size, pool.licenses, pool.kept)
        for render in _list_trials(plan.prompts, plan.first_tasks(1)[0]):
            attempt(render)
        if not problems:
            return plan
    raise InputError(problems)


def _load_taxonomy(recipe: Recipe) -> Taxonomy:
    source = recipe.taxonomy
    return source if isinstance(source, Taxonomy) else load_taxonomy(source)


def _load_template(recipe: Recipe, stages: tuple[Stage, ...], stage: Stage) -> Template:
    spec = recipe.stages.get(stage.name)
    before = [other.name for other in stages[: stages.index(stage)]]
    return load_template(
        stage.template,
        spec.template if spec else None,
        variables=stage.list_variables(before),
        small=recipe.model_for(stage.name).small,
    )


def _list_fields(recipe: Recipe, templates: Mapping[str, Template]) -> tuple[str, ...] | None:
    """Return the further fields of instructions that are wanted: those that are kept, or None for all."""
    is_used = any("metadata" in template.uses for template in templates.values())
    return None if is_used else recipe.instructions.keep


def _list_trials(prompts: Prompts, task: RowTask) -> Iterator[Callable[[], object]]:
    """Yield each template once: a misspelt attribute shows only in rendering, and must not cost a request."""
    draft = prompts.draft(task)
    for stage in prompts.stages:
        yield partial(prompts.render, stage, draft.about(stage.list_parts(draft)[0]))
        draft.add(stage, stage.imagine(draft))
    yield partial(ask_again, prompts.repair, (), "-", ["-"])
