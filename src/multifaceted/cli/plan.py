"""`plan` and `preview`: what would be asked, before anything is spent."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import platformdirs
import typer
from pydantic_core import to_json

from multifaceted.cli import show
from multifaceted.planning import Plan, compile_plan
from multifaceted.planning.cost import LOOKED_AT, Estimate, StageEstimate
from multifaceted.records import Failure, Row
from multifaceted.store.manifest import read_run
from multifaceted.store.run_folder import RunFolder

if TYPE_CHECKING:
    from multifaceted.pipeline import Rest

Recipe = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def plan(
    recipe: Recipe,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="A run of this recipe: what `generate` would still ask there."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a recipe will ask for, use and cost. Spends nothing and needs no network.

    Example: `multifaceted plan recipe.yaml --run run`
    """
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK

    layout = read_run(RunFolder(run)).instructions_per_shard if run else None
    compiled = compile_plan(recipe, instructions_per_shard=layout)
    if run is not None and compiled.rows > LOOKED_AT:
        show.say(f"going through at most {LOOKED_AT:,} of {compiled.rows:,} rows, evenly spread …")
    rest = pipeline.estimate_rest(compiled, run) if run else None
    estimate = rest.whole if rest else pipeline.estimate_run(compiled)
    if as_json:
        show.data(_as_dict(compiled, estimate, rest))
        return
    size = f"{compiled.instructions:,} instructions in {compiled.recipe.variants} variants"
    show.text(f"{compiled.recipe.name}: {size} = {compiled.rows:,} rows (shards: {len(compiled.shards):,})")
    left = rest.estimate if rest else estimate
    columns = ["stage", "requests", "model", "prompt tokens", "reply tokens", "live USD", "batch USD"]
    if rest:
        columns[1] = "to ask"
    show.table("", columns, [_row_of(stage) for stage in left.stages], optional=("live USD", "batch USD"))
    if rest:
        _show_rest(rest)
    else:
        requests = sum(stage.requests for stage in estimate.stages)
        show.text(f"\nrequests: {requests:,}, and one more for each reply that needs repair")
    known = [cost for cost in (estimate.live_usd, estimate.batch_usd) if cost is not None]
    if known:
        show.text(f"cost: {_show_cost(left)}")
    if known and rest:
        show.text(f"the whole run, made at once, would cost: {_show_cost(estimate)}")
    _show_estimate(compiled, left)


def _show_cost(estimate: Estimate) -> str:
    return f"{show.usd(estimate.live_usd)} USD live, {show.usd(estimate.batch_usd)} USD by batch"


def _row_of(stage: StageEstimate) -> list[object]:
    return [
        stage.stage,
        stage.requests,
        stage.model,
        stage.prompt_tokens,
        stage.completion_tokens,
        show.usd(stage.live_usd),
        show.usd(stage.batch_usd),
    ]


def _show_rest(rest: "Rest") -> None:
    forecast, stages = rest.forecast, rest.forecast.stages
    about = "" if forecast.looked_at >= forecast.planned else "about "
    ok, failed, left = (round(number) for number in (forecast.ok, forecast.failed, forecast.open))
    rows = f"\nrows: {about}{ok:,} made already, {left:,} to make"
    show.text(rows + (f", {failed:,} failed that will not be asked again" if failed else ""))
    answered = {name: round(stage.answered) for name, stage in stages.items()}
    show.text(f"already answered: {about}{_count(answered)}")
    under_way = {name: round(stage.under_way) for name, stage in stages.items()}
    if sum(under_way.values()):
        show.text(f"in batches that were submitted: {about}{_count(under_way)}")
    show.text(f"to ask: {about}{_count({name: stage.to_ask for name, stage in stages.items()})}")
    again = {name: round(stage.again) for name, stage in stages.items()}
    if sum(again.values()):
        why = (
            "" if rest.changes else ": those replies were cut, unreadable, set aside, or to an earlier recipe"
        )
        show.text(f"of these, asked again where there was a reply before: {about}{_count(again)}{why}")
    if rest.changes:
        show.text(f"changed since the run was last started: {'; '.join(rest.changes)}")
    repairs = round(sum(stage.repairs for stage in stages.values()))
    if repairs:
        show.text(
            f"repair turns among them: {repairs:,} expected, as often as this recipe needed them so far"
        )


def _count(requests: dict[str, int]) -> str:
    total = sum(requests.values())
    by_stage = ", ".join(f"{name} {number:,}" for name, number in requests.items() if number)
    return f"{total:,} requests" + (f" ({by_stage})" if by_stage else "")


def _show_estimate(compiled: Plan, estimate: Estimate) -> None:
    live = {stage.live.source for stage in estimate.stages if stage.live}
    if live:
        show.text(f"prices: {', '.join(sorted(live))}; tokens that an endpoint caches cost less")
    unknown = sorted({stage.model for stage in estimate.stages if stage.live is None})
    if unknown:
        show.text(f"cost: unknown, as is the price of {', '.join(unknown)}; state it in the recipe as prices")
    show.text(f"lengths: {'; '.join(dict.fromkeys(f'{s.stage}: {s.source}' for s in estimate.stages))}")
    show.text(f"time: {show.duration(estimate.seconds)} ({estimate.bound_by})")
    taxonomy = compiled.prompts.taxonomy
    show.text(f"taxonomy: {taxonomy.name} {taxonomy.version} with {len(taxonomy.preferences):,} preferences")


def _as_dict(compiled: Plan, estimate: Estimate, rest: "Rest | None") -> dict[str, object]:
    by_stage: dict[str, int] = {stage.stage: stage.requests for stage in estimate.stages}
    return {
        **_describe_plan(compiled),
        "requests": {"total": sum(by_stage.values()), **by_stage},
        "run": _describe_rest(rest) if rest else None,
        **_describe_estimate(estimate),
    }


def _describe_estimate(estimate: Estimate) -> dict[str, object]:
    return {
        "tokens": {
            "prompt": {stage.stage: stage.prompt_tokens for stage in estimate.stages},
            "completion": {stage.stage: stage.completion_tokens for stage in estimate.stages},
            "source": {stage.stage: stage.source for stage in estimate.stages},
        },
        "usd": {
            "live": estimate.live_usd,
            "batch": estimate.batch_usd,
            "prices": {stage.stage: stage.live.source if stage.live else None for stage in estimate.stages},
        },
        "seconds": estimate.seconds,
        "seconds_bound_by": estimate.bound_by,
    }


def _describe_rest(rest: "Rest") -> dict[str, object]:
    forecast = rest.forecast
    names = ("answered", "under_way", "to_ask", "again", "repairs")
    counts = {
        name: {stage: round(getattr(found, name)) for stage, found in forecast.stages.items()}
        for name in names
    }
    return {
        "ok": round(forecast.ok),
        "failed": round(forecast.failed),
        "open": round(forecast.open),
        "looked_at": forecast.looked_at,
        "changes": rest.changes,
        **{name: {"total": sum(found.values()), **found} for name, found in counts.items()},
        **_describe_estimate(rest.estimate),  # of what is to ask
    }


def _describe_plan(compiled: Plan) -> dict[str, object]:
    return {
        "kind": compiled.kind.name,
        "name": compiled.recipe.name,
        "instructions": compiled.instructions,
        "variants": compiled.recipe.variants,
        "rows": compiled.rows,
        "shards": len(compiled.shards),
        "models": {stage: model.label for stage, model in compiled.models.items()},
        "templates": compiled.prompts.hashes,
        "taxonomy": {
            "version": compiled.prompts.taxonomy.version,
            "fingerprint": compiled.prompts.index.fingerprint,
        },
    }


def preview(
    recipe: Recipe,
    count: Annotated[int, typer.Option("-n", "--rows", min=1, help="How many rows.")] = 1,
    ask: Annotated[bool, typer.Option("--ask", help="Send the requests and show real replies.")] = False,
) -> None:
    """Show the prompts of the first rows. Spends nothing without `--ask`.

    Example: `multifaceted preview recipe.yaml -n 2`
    """
    compiled = compile_plan(recipe)
    if ask:
        asyncio.run(_preview_real(compiled, count))
        return
    for task in compiled.first_tasks(count):
        for stage, part, turns, _ in compiled.prompts.preview(task):
            asked = f"{stage.name} of {part.dimension}" if part else stage.name
            show.rule(f"{task.id} · {asked} · {compiled.models[stage.name].label}")
            for turn in turns:
                show.out.print(f"[bold]{turn.role}[/]")
                show.text(f"{turn.content}\n")
    show.say("Nothing was sent. The later stages show the sampled preferences in place of real replies.")


async def _preview_real(compiled: Plan, count: int) -> None:
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK, which only real requests need

    # Kept, so that looking twice is paid once.
    journal = platformdirs.user_cache_path("multifaceted") / "previews" / f"{compiled.recipe.name}.sqlite"
    async for made in pipeline.ask_first_rows(compiled, count, journal):
        show.rule(made.id)
        if isinstance(made, Failure):
            show.text(f"failed in stage {made.stage}: {made.kind}: {made.message}\n")
        else:
            _show_row(made, [stage.column for stage in compiled.stages])


def _show_row(row: Row, columns: list[str]) -> None:
    for name, value in row.model_dump(include={"prompt", *columns}).items():
        show.out.print(f"\n[bold]{name}[/]")
        show.text(value if isinstance(value, str) else to_json(value, indent=2).decode())
    show.text("")
