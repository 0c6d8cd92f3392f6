"""The work of `generate` and `plan`, from beginning to end: prepared, made, closed.

Example:
    data = await generate(plan, Path("run"), control=RunControl())
"""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path

from multifaceted.ask.channel import Channel
from multifaceted.ask.control import RunControl
from multifaceted.ask.opened import open_asker
from multifaceted.ask.usage import count_spent
from multifaceted.batch import answer
from multifaceted.chat.factory import name_models
from multifaceted.errors import FailureKind, SetupError, StorageError
from multifaceted.generation import RowMaker, RowsToMake, generate_shards
from multifaceted.generation.changes import Described, list_changes
from multifaceted.generation.forecast import Forecast, StageForecast
from multifaceted.generation.forecaster import foresee
from multifaceted.generation.prepare import Prepared, describe_run, outline_run, prepare_run
from multifaceted.generation.work import find_whole
from multifaceted.journal import Journal, JournalSum
from multifaceted.models import Model
from multifaceted.planning import Plan
from multifaceted.planning.cost import ENOUGH, Estimate, Observed, estimate
from multifaceted.records import Failure, Row
from multifaceted.store.manifest import RunData, read_recipe, read_run, write_manifest, write_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_spent


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
        max_usd: the budget of the whole run, over all restarts; None: what the recipe says.
        retry: make nothing but failed rows of these kinds again, whether or not that is likely to help.
        live_fallback: in batch mode, ask live as soon as no more than so many requests are missing.

    Returns:
        The run's data, with the summaries of all shards that are finished.

    Raises:
        InputError: where there is a budget and no price to go by, or nothing that can be retried.
        MultifacetedError: what stopped the run. What was paid for is in the journal.
    """
    prepared = prepare_run(plan, run, shards=shards, max_usd=max_usd, retry=retry)
    prepared.count_settled(control.tally)
    data = describe_run(prepared)
    await _make_rows(prepared, data, control, live_fallback=live_fallback)
    return _close_run(prepared, data)


async def _make_rows(prepared: Prepared, data: RunData, control: RunControl, *, live_fallback: int) -> None:
    plan, folder = prepared.plan, prepared.folder
    if not prepared.wanted:
        write_run(folder, data, prepared.environment)  # one with another recipe may have written its own
        return
    spent = read_spent(folder)
    count_spent(control.tally, spent)
    async with open_asker(
        plan.models, concurrency=plan.recipe.concurrency, control=control, max_usd=prepared.max_usd
    ) as asker:
        asker.note_answered(spent, prepared.names)
        write_run(folder, data, prepared.environment)
        rows = RowsToMake(RowMaker(plan, prepared.names), folder, prepared.wanted)
        async with answer(asker, rows, plan.recipe, live_fallback=live_fallback) as asks:
            await generate_shards(rows, asks)


def _close_run(prepared: Prepared, data: RunData) -> RunData:
    """Mark the run whole if all of its shards are."""
    folder = prepared.folder
    found = [find_whole(folder, shard, expected) for shard, expected in prepared.expected.items()]
    summaries = [summary for summary in found if summary is not None]
    data = data.model_copy(update={"summaries": summaries})
    if len(summaries) == len(found):
        if data.planned != data.ok + data.failed:  # rows were lost, which must never go unnoticed
            raise StorageError(f"{data.planned} rows planned, but {data.ok} ok and {data.failed} failed")
        write_manifest(folder, data, prepared.environment)
    return data


def estimate_run(plan: Plan) -> Estimate:
    """Return what the whole run of a plan will cost."""
    return estimate(plan)


@dataclass(frozen=True)
class Rest:
    """What is there of a run, and what is left of it to ask."""

    forecast: Forecast
    estimate: Estimate  # of what is left
    whole: Estimate  # with what is answered already
    changes: list[str]  # in the recipe since the run was last started, in words


def estimate_rest(plan: Plan, run: Path) -> Rest:
    """Return what making a plan in the folder of a run would ask now, and what that will cost.

    Replies that the plan has no use for any more, such as those to a former template, count for nothing but
    lengths, and for these only where there are too few others.
    """
    folder = RunFolder(run)
    forecast = foresee(outline_run(plan, folder, _name_stages(plan, folder)))
    spent = read_spent(folder)
    observed = {
        name: _observe(plan.models[name], stage, [part for part in spent if part.stage == name])
        for name, stage in forecast.stages.items()
    }
    to_ask = {name: stage.to_ask for name, stage in forecast.stages.items()}
    in_all = {name: stage.in_all for name, stage in forecast.stages.items()}
    return Rest(
        forecast,
        estimate(plan, observed, to_ask=to_ask),
        estimate(plan, observed, to_ask=in_all),
        find_changes(plan, run),
    )


def find_changes(plan: Plan, run: Path) -> list[str]:
    """Return what rows depend on and has changed since a run was last started, in words."""
    folder = RunFolder(run)
    after = outline_run(plan, folder, _name_stages(plan, folder))
    before = Described(read_run(folder), read_recipe(folder))
    return list_changes(before, Described(describe_run(after), after.environment["recipe"]))


def _name_stages(plan: Plan, folder: RunFolder) -> dict[str, str]:
    """Return how requests name the models; of weights that are not here, as the run named them."""
    known = read_run(folder).models
    names: dict[str, str] = {}
    for stage, model in plan.models.items():
        try:
            names |= name_models({stage: model})
        except SetupError:
            names[stage] = known.get(stage, model.label)
    return names


def _observe(model: Model, stage: StageForecast, spent: list[JournalSum]) -> Observed:
    if model.served_at:  # another model's replies say nothing of this one's
        spent = [part for part in spent if part.model == model.label]
    live = [part for part in spent if part.mode == "live" and part.seconds]
    timed = sum(part.replies for part in live)
    seconds = sum(part.seconds for part in live) / timed if timed else None
    if stage.counted >= ENOUGH:
        counts = (stage.counted, stage.prompt_tokens, stage.completion_tokens)
        return Observed("replies in the journal", *counts, seconds)
    spent = [part for part in spent if part.prompt_tokens]  # an endpoint may tell no tokens
    return Observed(
        "replies in the journal, those to former prompts included",
        sum(part.replies for part in spent),
        sum(part.prompt_tokens for part in spent),
        sum(part.completion_tokens for part in spent),
        seconds,
    )


async def make_first_rows(
    plan: Plan, count: int, journal_file: Path, *, control: RunControl
) -> AsyncIterator[Row | Failure]:
    """Make the first rows of a plan, their replies kept in a journal of their own."""
    models = plan.models
    async with open_asker(models, concurrency=plan.recipe.concurrency, control=control) as asker:
        maker = RowMaker(plan, name_models(models))
        with Journal(journal_file) as journal:
            for task in plan.first_tasks(count):
                yield await maker.make(task, Channel(asker, journal))
