"""The stages joined: the only module that sees all of them. Each function is one command's work.

Example:
    data = await generate(plan, Path("run"), control=RunControl())
"""

import shlex
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from multifaceted.chat.factory import name_models, open_pools
from multifaceted.errors import FailureKind, InputError, Problem, StorageError
from multifaceted.generate import Asker, RowMaker, generate_shards
from multifaceted.generate.by_batch import generate_by_batch
from multifaceted.generate.control import RunControl
from multifaceted.generate.usage import Usage
from multifaceted.generate.work import Work, find_whole, find_work, order_again
from multifaceted.ids import content_id
from multifaceted.journal import Journal
from multifaceted.plan import LiveModel, LocalModel, Plan, Shard
from multifaceted.plan.cost import Estimate, Observed, estimate
from multifaceted.plan.prices import Mode, Price, find_price
from multifaceted.records import Failure, Row, Stage
from multifaceted.store.manifest import RunData, UsedPrice, describe_environment, write_manifest, write_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_spent

Models = Mapping[Stage, LiveModel | LocalModel]


async def generate(
    plan: Plan,
    run: Path,
    *,
    control: RunControl,
    shards: range | None = None,
    max_usd: float | None = None,
    retry: Collection[FailureKind] | None = None,
    live_fallback: int = 0,
) -> RunData:
    """Make what is not made yet of a run, and mark it whole if it is.

    Args:
        plan: what to make.
        run: the run folder; made where there is none.
        control: its tally is kept up to date, and stopping it stops the run.
        shards: only these shards, for several processes that share a run; None for all.
        max_usd: what the run may cost, all its starts together; None: what the recipe says.
        retry: make nothing but failed rows of these kinds again, whether or not that is likely to help.
        live_fallback: in batch mode, ask live as soon as no more than so many requests are missing.

    Returns:
        The run's data, with the summaries of all shards that are whole.

    Raises:
        InputError: where there is a budget and no price to reckon with, or nothing that can be retried.
        MultifacetedError: what stopped the run. What was paid for is in the journal.
    """
    folder = RunFolder(run)
    models = models_of(plan)
    names = name_models(models)
    fingerprint = plan.fingerprint(names)
    expected = {shard: plan.shard_fingerprint(shard, fingerprint) for shard in plan.shards}
    mine = [shard for shard in plan.shards if shards is None or shard.index in shards]
    prices = find_prices(models, plan.recipe.mode)
    max_usd = check_budget(plan, prices, max_usd)
    if retry is not None:
        _order_again(plan, folder, expected, mine, retry)
    found = {s: find_work(folder, s, expected[s], models=models, kinds=retry) for s in mine}
    wanted = [work for work in found.values() if work is not None]
    _count_settled(control, plan, folder, found)
    data = describe_run(plan, names, prices, {shard.name: expected[shard] for shard in plan.shards})
    environment = describe_environment(plan.recipe.model_dump(mode="json", exclude_unset=True), plan.path)
    if wanted:
        control.tally.usd = sum(part.usd for part in read_spent(folder, list(data.shards)))
        async with _open_asker(plan, models, control, max_usd) as asker:
            write_run(folder, data, environment)
            maker = RowMaker(plan, names, asker)
            if plan.recipe.mode == "batch":
                await generate_by_batch(
                    maker, asker, folder, wanted, prices=prices, live_fallback=live_fallback
                )
            else:
                await generate_shards(maker, folder, wanted)
    else:
        write_run(folder, data, environment)  # an attempt with another recipe may have written its own
    whole = {shard: find_whole(folder, shard, expected[shard]) for shard in plan.shards}
    summaries = [summary for summary in whole.values() if summary is not None]
    data = data.model_copy(update={"summaries": summaries})
    if len(summaries) == len(plan.shards):
        _check_account(data)
        write_manifest(folder, data, environment)
    return data


def estimate_run(plan: Plan, run: Path | None = None) -> Estimate:
    """What a plan will cost, by the replies that a run of the same models has so far."""
    observed: dict[Stage, Observed] = {}
    spent = read_spent(RunFolder(run), [shard.name for shard in plan.shards]) if run else []
    for stage, model in models_of(plan).items():
        parts = [part for part in spent if part.stage == stage]
        if isinstance(model, LiveModel):  # another model's replies say nothing of this one's
            parts = [part for part in parts if part.model == model.name]
        if parts:
            observed[stage] = Observed(
                replies=sum(part.replies for part in parts),
                rows=sum(part.rows for part in parts),
                prompt_tokens=sum(part.prompt_tokens for part in parts),
                completion_tokens=sum(part.completion_tokens for part in parts),
                seconds=sum(part.seconds for part in parts if part.mode == "live"),
            )
    return estimate(plan, observed)


async def ask_first_rows(plan: Plan, count: int, journal_file: Path) -> AsyncIterator[Row | Failure]:
    """Make the first rows of a plan, their replies kept in a journal of their own."""
    models = models_of(plan)
    async with _open_asker(plan, models, RunControl(), None) as asker:
        maker = RowMaker(plan, name_models(models), asker)
        with Journal(journal_file) as journal:
            for task in plan.first_tasks(count):
                yield await maker.make(task, journal)


def models_of(plan: Plan) -> dict[Stage, LiveModel | LocalModel]:
    """The model of each stage."""
    return {stage: plan.recipe.model_for(stage) for stage in plan.kind.stages}


def find_prices(models: Models, mode: Mode) -> dict[Stage, Price | None]:
    """The price of each stage's model; None where it is unknown."""
    return {stage: find_price(model, mode) for stage, model in models.items()}


def check_budget(plan: Plan, prices: Mapping[Stage, Price | None], max_usd: float | None) -> float | None:
    """The budget in force: the one given, else the recipe's.

    Raises:
        InputError: where a budget cannot be kept because a price is unknown.
    """
    if max_usd is None and plan.recipe.budget is not None:
        max_usd = plan.recipe.budget.max_usd
    unknown = [stage for stage, price in prices.items() if price is None]
    if max_usd is None or not unknown:
        return max_usd
    message = f"there is a budget, but the price of the model of {', '.join(unknown)} is unknown"
    hint = "state it in the recipe, in USD per million tokens: prices: {input: …, output: …}"
    raise InputError([Problem(str(plan.path), 0, message)], hint=hint)


def describe_run(
    plan: Plan,
    model_names: dict[Stage, str],
    prices: Mapping[Stage, Price | None],
    fingerprints: dict[str, str],
) -> RunData:
    """What a run is about to make, as its manifest will say it."""
    taxonomy, recipe = plan.prompts.taxonomy, plan.recipe
    shown = {"temperature", "top_p", "max_tokens"}
    return RunData(
        kind=plan.recipe.kind,
        name=plan.recipe.name,
        recipe=content_id(["recipe", *fingerprints.values()]),
        seed=plan.recipe.seed,
        variants=plan.recipe.variants,
        instructions=plan.instructions,
        instructions_per_shard=plan.instructions_per_shard,
        planned=plan.rows,
        models=model_names,
        sampling={
            stage: plan.recipe.model_for(stage).model_dump(include=shown) for stage in plan.kind.stages
        },
        taxonomy={"name": taxonomy.name, "version": taxonomy.version, "fingerprint": taxonomy.fingerprint},
        templates={name: template.hash for name, template in plan.prompts.templates.items()},
        mode=recipe.mode,
        prices={
            stage: price and UsedPrice(input=price.input, output=price.output, source=price.source)
            for stage, price in prices.items()
        },
        license=recipe.license,
        language=list(recipe.language),
        source_licenses=dict(plan.licenses),
        shards=fingerprints,
    )


@asynccontextmanager
async def _open_asker(
    plan: Plan,
    models: Models,
    control: RunControl,
    max_usd: float | None,
) -> AsyncIterator[Asker]:
    async with open_pools(models, concurrency=plan.recipe.concurrency) as pools:
        distinct = set(pools.values())
        control.endpoints = [lane for pool in distinct for lane in pool.lanes]
        for pool in distinct:
            control.tell_when_stopped(pool.stop)
        yield Asker(
            pools, models=models, usage=Usage(find_prices(models, "live")), control=control, max_usd=max_usd
        )


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
        message = "no shard is whole yet, and only rows of whole shards can be asked again"
        again = shlex.join(["multifaceted", "generate", str(plan.path), "--run", str(folder.path)])
        raise InputError([Problem(str(folder.path), 0, message)], hint=f"the run goes on with: {again}")
    changed = [shard.name for shard in finished if find_whole(folder, shard, expected[shard]) is None]
    if changed:
        message = "the recipe has changed since this run was made, and asks for other rows"
        hint = "run `multifaceted generate` to make them, or undo the change and retry"
        raise InputError([Problem(str(folder.path), 0, message)], hint=hint)
    for shard in finished:
        order_again(folder, shard, kinds)


def _count_settled(
    control: RunControl, plan: Plan, folder: RunFolder, found: Mapping[Shard, Work | None]
) -> None:
    for shard, work in found.items():
        control.tally.planned += plan.rows_in(shard)
        summary = None if work else folder.finished(shard.name)
        if summary is not None:
            control.tally.ok += summary.ok
            control.tally.failed += summary.failed
            for kind, rows in summary.failures.items():
                control.tally.failures[kind] = control.tally.failures.get(kind, 0) + rows


def _check_account(data: RunData) -> None:
    """Planned = ok + failed, or rows were lost, which must never go unnoticed."""
    if data.planned != data.ok + data.failed:
        raise StorageError(f"{data.planned} rows planned, but {data.ok} ok and {data.failed} failed")
