"""What a start of a run finds: which shards are finished, what is left to do, and what it may cost.

Example:
    prepared = prepare_run(plan, Path("run"), max_usd=20)
    prepared.wanted                      # nothing where the run is finished
"""

import math
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from multifaceted.ask.opened import check_prices
from multifaceted.ask.usage import find_prices
from multifaceted.chat.factory import name_models
from multifaceted.errors import FailureKind, InputError, Problem
from multifaceted.generation.work import ShardWork, find_whole, find_work, order_again
from multifaceted.ids import content_id
from multifaceted.models import Price
from multifaceted.planning import Plan, Shard
from multifaceted.records import Tally
from multifaceted.store.manifest import AddedColumn, RunData, UsedPrice, describe_environment
from multifaceted.store.mend import mend_run, refuse_foreign
from multifaceted.store.moved_replies import MovedReplies
from multifaceted.store.run_folder import RunFolder

_LIBRARIES = ("multifaceted", "datasets", "pyarrow", "pydantic", "openai", "jinja2")


@dataclass(frozen=True)
class Prepared:
    """A run that is about to be made."""

    plan: Plan  # what to make
    folder: RunFolder
    names: dict[str, str]  # how requests name the model of each stage
    # Of each stage's model in the mode of the recipe; None where it is unknown
    prices: Mapping[str, Price | None]
    expected: dict[Shard, str]  # the fingerprint that each shard will carry
    found: dict[
        Shard, ShardWork | None
    ]  # what is to be done of each shard of this start; None where nothing is
    max_usd: float | None  # its budget, over all restarts; None for no bound

    @property
    def wanted(self) -> list[ShardWork]:
        """Return what is to be done, in order."""
        return [work for work in self.found.values() if work is not None]

    @property
    def environment(self) -> dict[str, Any]:
        """With what it is made."""
        recipe = self.plan.recipe.model_dump(mode="json", exclude_unset=True)
        return describe_environment(recipe, str(self.plan.path.resolve()), _LIBRARIES)

    def count_settled(self, tally: Tally) -> None:
        """Count the rows of this start, and those that are finished already."""
        for shard, work in self.found.items():
            tally.planned += self.plan.rows_in(shard)
            summary = None if work else self.folder.finished(shard.name)
            if summary is not None:
                tally.ok += summary.ok
                tally.failed += summary.failed
                tally.failures.update(summary.failures)


def prepare_run(
    plan: Plan,
    run: Path,
    *,
    shards: range | None = None,
    max_usd: float | None = None,
    retry: Collection[FailureKind] | None = None,
) -> Prepared:
    """Look at a run folder, and see that the run can be made; nothing is asked.

    The arguments are those of `pipeline.generate`.

    Raises:
        InputError: where there is a budget and no price to go by, or nothing that can be retried.
        SetupError: where local weights are missing.
        StorageError: where the folder holds something else.
    """
    if max_usd is not None and not 0 < max_usd < math.inf:
        message = f"must be a sum above 0, and is {max_usd}: nan and inf would bound nothing"
        raise InputError([Problem("--max-usd", 0, message)])
    refuse_foreign(RunFolder(run))
    mend_run(RunFolder(run))
    outlined = outline_run(plan, RunFolder(run), name_models(plan.models))
    folder, prices, expected = outlined.folder, outlined.prices, outlined.expected
    mine = [shard for shard in plan.shards if shards is None or shard.index in shards]
    max_usd = plan.recipe.max_usd if max_usd is None else max_usd
    check_prices(prices, max_usd, file=str(plan.path))
    if retry is not None:
        _order_again(plan, folder, expected, mine, retry)
    found = {s: find_work(folder, s, expected[s], models=plan.models, kinds=retry) for s in mine}
    return replace(outlined, found=found, max_usd=max_usd)


def outline_run(plan: Plan, folder: RunFolder, names: dict[str, str]) -> Prepared:
    """Return what a plan would make in a run folder, before anybody looks at what is there."""
    fingerprint = plan.fingerprint(names)
    expected = {shard: plan.shard_fingerprint(shard, fingerprint) for shard in plan.shards}
    prices = find_prices(plan.models, plan.recipe.mode)
    return Prepared(plan, folder, names, prices, expected, found={}, max_usd=None)


def describe_run(prepared: Prepared) -> RunData:
    """Return what a run is about to make, as `run.json` says it."""
    plan, recipe, taxonomy = prepared.plan, prepared.plan.recipe, prepared.plan.prompts.taxonomy
    fingerprints = {shard.name: expected for shard, expected in prepared.expected.items()}
    shown = {"temperature", "top_p", "max_tokens"}
    return RunData(
        kind=recipe.kind,
        name=recipe.name,
        recipe=content_id(["recipe", *fingerprints.values()]),
        seed=recipe.seed,
        variants=recipe.variants,
        instructions=plan.instructions,
        instructions_per_shard=plan.instructions_per_shard,
        planned=plan.rows,
        stages={stage.name: stage.record for stage in plan.stages},
        added=list(_list_added(plan)),
        models=prepared.names,
        sampling={name: model.model_dump(include=shown) for name, model in plan.models.items()},
        taxonomy={
            "name": taxonomy.name,
            "version": taxonomy.version,
            "fingerprint": plan.prompts.index.fingerprint,
        },
        templates=plan.prompts.hashes,
        mode=recipe.mode,
        prices={
            stage: price and UsedPrice(input=price.input, output=price.output, source=price.source)
            for stage, price in prepared.prices.items()
        },
        license=recipe.license,
        language=list(recipe.language),
        source_licenses=dict(plan.licenses),
        shards=fingerprints,
    )


def _list_added(plan: Plan) -> Iterator[AddedColumn]:
    for stage in plan.stages:
        if stage.type_spec is not None:
            yield AddedColumn(
                name=stage.column,
                type=stage.type_spec,
                description=stage.description,
                record=stage.record,
            )
    for name, kind in plan.kept.items():
        description = f"the field `{name}` of the instruction"
        yield AddedColumn(name=name, type=kind, description=description)


def _order_again(
    plan: Plan,
    folder: RunFolder,
    expected: Mapping[Shard, str],
    mine: list[Shard],
    kinds: Collection[FailureKind],
) -> None:
    """Mark what a retry asks for again; a run that another recipe made is left alone."""
    finished = [shard for shard in mine if folder.finished(shard.name) is not None]
    if not finished:
        message = "no shard is finished yet, and only rows of finished shards can be asked again"
        again = shlex.join(["multifaceted", "generate", str(plan.path), "--run", str(folder.path)])
        raise InputError([Problem(str(folder.path), 0, message)], hint=f"the run resumes with: {again}")
    changed = [shard.name for shard in finished if find_whole(folder, shard, expected[shard]) is None]
    if changed:
        message = "the recipe has changed since this run was made, and asks for other rows"
        hint = "run `multifaceted generate` to make them, or undo the change and retry"
        raise InputError([Problem(str(folder.path), 0, message)], hint=hint)
    moved = MovedReplies(folder)
    for shard in finished:
        order_again(folder, shard, kinds, moved=moved)
