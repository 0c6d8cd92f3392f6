"""`plan` and `preview`: what would be asked, before anything is spent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import multifaceted as mf
from multifaceted.cli.options import Json, Recipe
from multifaceted.terminal import show

if TYPE_CHECKING:
    from multifaceted.pipeline import Rest
    from multifaceted.planning import Plan
    from multifaceted.planning.cost import Estimate, StageEstimate


def plan(
    recipe: Recipe,
    run: Annotated[
        Path | None,
        typer.Option("--run", help="A run of this recipe: show what `generate` would still request there."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how many requests and tokens a recipe will take, and what it will cost. Spends nothing.

    Example: `multifaceted plan recipe.yaml --run run`
    """
    planned = mf.plan(recipe, run)
    compiled, estimate, rest = planned.compiled, planned.estimate, planned.rest
    if as_json:
        show.data(planned.as_dict())
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


def _show_cost(estimate: "Estimate") -> str:
    return f"{show.usd(estimate.live_usd)} USD live, {show.usd(estimate.batch_usd)} USD by batch"


def _row_of(stage: "StageEstimate") -> list[object]:
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


def _show_estimate(compiled: "Plan", estimate: "Estimate") -> None:
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


def preview(
    recipe: Recipe,
    count: Annotated[int, typer.Option("-n", "--rows", min=1, help="How many rows.")] = 1,
    ask: Annotated[bool, typer.Option("--ask", help="Send the requests and show real replies.")] = False,
) -> None:
    """Show the prompts of the first rows. Spends nothing without `--ask`.

    Example: `multifaceted preview recipe.yaml -n 2`
    """
    if ask:
        for made in mf.try_rows(recipe, count):
            show.rule(made.id)
            show.text(made.text)
        return
    for prompt in mf.preview(recipe, count):
        show.rule(prompt.title)
        for turn in prompt.messages:
            show.out.print(f"[bold]{turn.role}[/]")
            show.text(f"{turn.content}\n")
    show.say("Nothing was sent. The later stages show the sampled preferences in place of real replies.")
