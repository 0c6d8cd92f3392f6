"""Declare, compile, run: a recipe is compiled to a `Plan`, which knows every row and has spent nothing.

Example:
    plan = compile_plan(Path("recipe.yaml"))
    plan.rows, plan.shards[0]
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from multifaceted.errors import InputError, Problem
from multifaceted.ids import content_id, hash_stream, seed_from
from multifaceted.instructions import InstructionReader, read_instructions
from multifaceted.kinds import KINDS, PER_PREFERENCE, Kind
from multifaceted.plan.recipe import LiveModel, LocalModel, Recipe, load_recipe
from multifaceted.prompts.reply import ReplyError
from multifaceted.prompts.stages import StagePrompts, templates_of
from multifaceted.prompts.template import Template, TemplateName, load_template
from multifaceted.records import Instruction, PreferenceEntry, RowTask, Stage
from multifaceted.taxonomy import load_taxonomy, sample_preference_sets

_Loaded = TypeVar("_Loaded")


@dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous range of instructions: the unit of work that one process takes."""

    index: int
    start: int  # position of its first instruction in the pool
    stop: int  # one past its last
    digest: str  # of its instructions

    @property
    def name(self) -> str:
        """Five digits, so that folders sort in order."""
        return f"{self.index:05d}"


@dataclass(frozen=True)
class Plan:
    """A recipe with everything it names loaded and checked."""

    path: Path  # of the recipe
    recipe: Recipe
    prompts: StagePrompts
    shards: tuple[Shard, ...]
    instructions_per_shard: int  # of every shard but the last
    licenses: Mapping[str, str] = field(default_factory=dict)  # of the instructions, by source

    @property
    def kind(self) -> Kind:
        """Which stages it asks and what its rows hold."""
        return KINDS[self.recipe.kind]

    @property
    def instructions(self) -> int:
        """How many instructions the run takes."""
        return self.shards[-1].stop

    @property
    def rows(self) -> int:
        """How many rows the run plans: every instruction in every variant."""
        return self.instructions * self.recipe.variants

    def rows_in(self, shard: Shard) -> int:
        """How many rows a shard plans."""
        return (shard.stop - shard.start) * self.recipe.variants

    def requests_per_row(self, stage: Stage) -> int:
        """How often a row asks in a stage, repair turns left out."""
        return len(self.prompts.taxonomy.dimensions) if stage in PER_PREFERENCE else 1

    def read_shards(self, wanted: list[Shard]) -> Iterator[tuple[Shard, list[Instruction]]]:
        """Each wanted shard, in order, with its instructions; no more than one shard is held.

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
            if _digest(instructions) != shard.digest:
                message = "has changed since the run began; run again to compile it anew"
                raise InputError([Problem(str(self.recipe.instructions.path), 0, message)])
            yield shard, instructions

    def first_tasks(self, count: int) -> list[RowTask]:
        """The first `count` rows, for previews."""
        tasks = (task for instruction in self.read_instructions() for task in self.tasks_of(instruction))
        return list(islice(tasks, count))

    def tasks_of(self, instruction: Instruction) -> list[RowTask]:
        """The rows of one instruction, one for each variant."""
        seed, taxonomy = self.recipe.seed, self.prompts.taxonomy
        sampled = sample_preference_sets(taxonomy, f"{seed}:{instruction.id}", n=self.recipe.variants)
        return [
            RowTask(instruction, variant, seeds, seed_from(seed, instruction.id, variant))
            for variant, seeds in enumerate(sampled, start=1)
        ]

    def fingerprint(self, model_names: Mapping[Stage, str]) -> dict[str, Any]:
        """What a row's bytes depend on besides its instruction and the replies.

        Left out, because rows do not depend on them: the recipe's name, where files lie, base URLs,
        API keys, limits, prices, timeouts, attempts, concurrency, mode, licenses, languages, and the order
        in which shards are made. `max_tokens` decides only whether a reply is whole, and failures remember
        what cut them.
        """
        counted = {"temperature", "top_p", "seeded", "extra_body", "structured_output"}
        models = {
            stage: [model_names[stage], self.recipe.model_for(stage).model_dump(mode="json", include=counted)]
            for stage in self.kind.stages
        }
        return {
            "seed": self.recipe.seed,
            "variants": self.recipe.variants,
            "taxonomy": self.prompts.taxonomy_fingerprint,
            "templates": {name: template.hash for name, template in self.prompts.templates.items()},
            "models": models,
        }

    def shard_fingerprint(self, shard: Shard, run_fingerprint: Mapping[str, Any]) -> str:
        """What tells whether a finished shard is still the one this plan asks for."""
        return content_id(["shard", run_fingerprint, shard.start, shard.stop, shard.digest])

    def read_instructions(self) -> Iterator[Instruction]:
        """The instructions that the run takes, one at a time."""
        return read_instructions(self.recipe.instructions.path, limit=self.recipe.instructions.limit)


def compile_plan(path: Path, *, instructions_per_shard: int | None = None) -> Plan:
    """Load and check everything a recipe names.

    Args:
        path: the recipe.
        instructions_per_shard: how an earlier start of the same run cut it; None cuts by `shard_rows`.

    Raises:
        InputError: with every problem of the recipe; or, where the recipe itself is sound, with every
            problem of the taxonomy, the templates and the instructions together.
    """
    recipe = load_recipe(path)
    problems: list[Problem] = []

    def attempt(load: Callable[[], _Loaded]) -> _Loaded | None:
        try:
            return load()
        except InputError as error:
            problems.extend(error.problems)
            return None

    taxonomy = attempt(lambda: load_taxonomy(recipe.taxonomy))
    templates: dict[TemplateName, Template] = {}
    names = templates_of(KINDS[recipe.kind].stages)
    for name in names:
        template = attempt(partial(load_template, name, recipe.templates.get(name), small=recipe.model.small))
        if template is not None:
            templates[name] = template
    size = instructions_per_shard or recipe.instructions_per_shard
    shards, licenses = attempt(partial(_cut_shards, recipe, size)) or ((), {})
    if taxonomy is not None and len(templates) == len(names) and shards:
        plan = Plan(path, recipe, StagePrompts(taxonomy, templates), shards, size, licenses)
        for render in _trial_renderings(plan):
            attempt(render)
        if not problems:
            return plan
    raise InputError(problems)


def model_label(model: LiveModel | LocalModel) -> str:
    """What people call the model of a stage."""
    return model.name if isinstance(model, LiveModel) else f"local ({model.weights})"


def _cut_shards(recipe: Recipe, size: int) -> tuple[tuple[Shard, ...], dict[str, str]]:
    """Read the pool through once: every fault is found, and each shard gets its digest.

    Returns:
        The shards, and the licenses by source; what the recipe says of one stands above what the pool says.
    """
    reader = InstructionReader(recipe.instructions.path, recipe.instructions.limit)
    stream = iter(reader)
    shards: list[Shard] = []
    start = 0
    while piece := list(islice(stream, size)):
        shards.append(Shard(len(shards), start, start + len(piece), _digest(piece)))
        start += len(piece)
    if reader.problems:
        raise InputError(reader.problems)
    licenses = {source: "; ".join(sorted(found)) for source, found in sorted(reader.licenses.items())}
    return tuple(shards), licenses | recipe.instructions.licenses


def _digest(instructions: list[Instruction]) -> str:
    return hash_stream(instruction.model_dump() for instruction in instructions)


def _trial_renderings(plan: Plan) -> list[Callable[[], object]]:
    """Each template once: a misspelt attribute shows only in rendering, and must not cost a request."""
    [task] = plan.first_tasks(1)
    prompts = plan.prompts
    dimensions = [dimension.slug for dimension in prompts.taxonomy.dimensions]
    entry = {"subdimension": "-", "preference": "-", "description": "-"}
    entries = [PreferenceEntry(dimension=slug, **entry) for slug in dimensions]
    trials: dict[Stage, Callable[[], object]] = {
        "preferences": partial(prompts.preferences, task),
        "system_message": partial(prompts.system_message, entries),
        "response": partial(prompts.response, "-", task.instruction.prompt),
        "rubric": partial(prompts.rubric, task.instruction.prompt, entries[0]),
    }
    repair = partial(prompts.repair, (), "-", ReplyError(["-"]))
    return [*(trials[stage] for stage in plan.kind.stages), repair]
