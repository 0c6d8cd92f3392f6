"""The stages joined: the only module that sees all of them. Each function is one command's work.

Example:
    data = await generate(plan, Path("run"), control=RunControl())
"""

from collections.abc import AsyncIterator
from pathlib import Path

from multifaceted.chat.factory import name_models, open_clients
from multifaceted.errors import StorageError
from multifaceted.generate import Asker, RowMaker, generate_shards
from multifaceted.generate.control import RunControl
from multifaceted.ids import content_id
from multifaceted.journal import Journal
from multifaceted.plan import Plan, Shard
from multifaceted.records import STAGES, Failure, Row, Stage
from multifaceted.store.manifest import RunData, describe_environment, write_manifest, write_run
from multifaceted.store.run_folder import RunFolder, ShardSummary


async def generate(plan: Plan, run: Path, *, control: RunControl, shards: range | None = None) -> RunData:
    """Make what is not made yet of a run, and mark it whole if it is.

    Args:
        plan: what to make.
        run: the run folder; made where there is none.
        control: its tally is kept up to date, and stopping it stops the run.
        shards: only these shards, for several processes that share a run; None for all.

    Returns:
        The run's data, with the summaries of all shards that are whole.

    Raises:
        MultifacetedError: what stopped the run. What was paid for is in the journal.
    """
    folder = RunFolder(run)
    models = {stage: plan.recipe.model_for(stage) for stage in STAGES}
    names = name_models(models)
    fingerprint = plan.fingerprint(names)
    expected = {shard: plan.shard_fingerprint(shard, fingerprint) for shard in plan.shards}
    mine = [shard for shard in plan.shards if shards is None or shard.index in shards]
    wanted = [shard for shard in mine if not _is_settled(folder, shard, expected[shard])]
    _count_settled(control, plan, folder, [(shard, shard in wanted) for shard in mine])
    data = describe_run(plan, names, {shard.name: expected[shard] for shard in plan.shards})
    environment = describe_environment(plan.recipe.model_dump(mode="json", exclude_unset=True))
    if wanted:
        concurrency = plan.recipe.concurrency
        async with open_clients(models, concurrency=concurrency) as clients:
            write_run(folder, data, environment)
            asker = Asker(clients, models=models, concurrency=concurrency, control=control)
            work = [(shard, expected[shard]) for shard in wanted]
            await generate_shards(RowMaker(plan, names, asker), folder, work, concurrency=concurrency)
    else:
        write_run(folder, data, environment)  # an attempt with another recipe may have written its own
    whole = {shard: _whole(folder, shard, expected[shard]) for shard in plan.shards}
    summaries = [summary for summary in whole.values() if summary is not None]
    data = data.model_copy(update={"summaries": summaries})
    if len(summaries) == len(plan.shards):
        _check_account(data)
        write_manifest(folder, data, environment)
    return data


async def ask_first_rows(plan: Plan, count: int, journal_file: Path) -> AsyncIterator[Row | Failure]:
    """Make the first rows of a plan, their replies kept in a journal of their own."""
    models = {stage: plan.recipe.model_for(stage) for stage in STAGES}
    async with open_clients(models, concurrency=1) as clients:
        asker = Asker(clients, models=models, concurrency=1, control=RunControl())
        maker = RowMaker(plan, name_models(models), asker)
        with Journal(journal_file) as journal:
            for task in plan.first_tasks(count):
                yield await maker.make(task, journal)


def describe_run(plan: Plan, model_names: dict[Stage, str], fingerprints: dict[str, str]) -> RunData:
    """What a run is about to make, as its manifest will say it."""
    taxonomy = plan.prompts.taxonomy
    shown = {"temperature", "top_p", "max_tokens"}
    return RunData(
        name=plan.recipe.name,
        recipe=content_id(["recipe", *fingerprints.values()]),
        seed=plan.recipe.seed,
        variants=plan.recipe.variants,
        instructions=plan.instructions,
        instructions_per_shard=plan.instructions_per_shard,
        planned=plan.rows,
        models=model_names,
        sampling={stage: plan.recipe.model_for(stage).model_dump(include=shown) for stage in STAGES},
        taxonomy={"name": taxonomy.name, "version": taxonomy.version, "fingerprint": taxonomy.fingerprint},
        templates={name: template.hash for name, template in plan.prompts.templates.items()},
        shards=fingerprints,
    )


def _whole(folder: RunFolder, shard: Shard, fingerprint: str) -> ShardSummary | None:
    """The summary of a shard that is whole and is what this plan asks for."""
    summary = folder.finished(shard.name)
    return summary if summary is not None and summary.fingerprint == fingerprint else None


def _is_settled(folder: RunFolder, shard: Shard, fingerprint: str) -> bool:
    """Whether running again could not change a shard."""
    summary = _whole(folder, shard, fingerprint)
    return summary is not None and not summary.retryable and not folder.verify([summary])


def _count_settled(
    control: RunControl, plan: Plan, folder: RunFolder, mine: list[tuple[Shard, bool]]
) -> None:
    for shard, is_wanted in mine:
        control.tally.planned += plan.rows_in(shard)
        summary = None if is_wanted else folder.finished(shard.name)
        if summary is not None:
            control.tally.ok += summary.ok
            control.tally.failed += summary.failed


def _check_account(data: RunData) -> None:
    """Planned = ok + failed, or rows were lost, which must never go unnoticed."""
    if data.planned != data.ok + data.failed:
        raise StorageError(f"{data.planned} rows planned, but {data.ok} ok and {data.failed} failed")
