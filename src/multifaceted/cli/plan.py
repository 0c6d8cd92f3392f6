"""`plan` and `preview`: what would be asked, before anything is spent."""

import asyncio
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from pydantic_core import to_json
from rich.rule import Rule

from multifaceted.cli import show
from multifaceted.plan import Plan, compile_plan
from multifaceted.plan.cost import Estimate, StageEstimate
from multifaceted.records import Failure, Row
from multifaceted.store.manifest import read_run
from multifaceted.store.run_folder import RunFolder

Recipe = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def plan(
    recipe: Recipe,
    run: Annotated[
        Path | None, typer.Option("--run", help="A run of this recipe: lengths are taken from its replies.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what a recipe will ask for, use and cost. Spends nothing and needs no network.

    Example: `multifaceted plan recipe.yaml`
    """
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK

    layout = read_run(RunFolder(run)).instructions_per_shard if run else None
    compiled = compile_plan(recipe, instructions_per_shard=layout)
    estimate = pipeline.estimate_run(compiled, run)
    if as_json:
        show.data(_as_dict(compiled, estimate))
        return
    size = f"{compiled.instructions:,} instructions in {compiled.recipe.variants} variants"
    show.text(f"{compiled.recipe.name}: {size} = {compiled.rows:,} rows (shards: {len(compiled.shards):,})")
    columns = ["stage", "requests", "model", "prompt tokens", "reply tokens", "live USD", "batch USD"]
    show.table("", columns, [_row_of(stage) for stage in estimate.stages])
    _show_estimate(compiled, estimate)


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


def _show_estimate(compiled: Plan, estimate: Estimate) -> None:
    requests = sum(stage.requests for stage in estimate.stages)
    show.text(f"\nrequests: {requests:,}, and one more for each reply that needs repair")
    show.text(f"cost: {show.usd(estimate.live_usd)} USD live, {show.usd(estimate.batch_usd)} USD by batch")
    live = {stage.live.source for stage in estimate.stages if stage.live}
    if live:
        show.text(f"prices: {', '.join(sorted(live))}; tokens that an endpoint caches cost less")
    unknown = sorted({stage.model for stage in estimate.stages if stage.live is None})
    if unknown:
        show.text(f"the price of {', '.join(unknown)} is unknown; state it in the recipe as prices")
    show.text(f"lengths: {'; '.join(dict.fromkeys(f'{s.stage}: {s.source}' for s in estimate.stages))}")
    show.text(f"time: {show.duration(estimate.seconds)} ({estimate.bound_by})")
    taxonomy = compiled.prompts.taxonomy
    show.text(f"taxonomy: {taxonomy.name} {taxonomy.version} with {len(taxonomy.preferences):,} preferences")


def _as_dict(compiled: Plan, estimate: Estimate) -> dict[str, object]:
    by_stage: dict[str, int] = {stage.stage: stage.requests for stage in estimate.stages}
    return {
        "kind": compiled.kind.name,
        "name": compiled.recipe.name,
        "instructions": compiled.instructions,
        "variants": compiled.recipe.variants,
        "rows": compiled.rows,
        "shards": len(compiled.shards),
        "requests": {"total": sum(by_stage.values()), **by_stage},
        "models": {stage: model.label for stage, model in compiled.models.items()},
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
            show.out.print(Rule(f"{task.id} · {asked} · {compiled.models[stage.name].label}"))
            for turn in turns:
                show.out.print(f"[bold]{turn.role}[/]")
                show.text(f"{turn.content}\n")
    show.say("Nothing was sent. The later stages show the sampled preferences in place of real replies.")


async def _preview_real(compiled: Plan, count: int) -> None:
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK, which only real requests need

    # Kept, so that looking twice is paid once.
    journal = platformdirs.user_cache_path("multifaceted") / "previews" / f"{compiled.recipe.name}.sqlite"
    async for made in pipeline.ask_first_rows(compiled, count, journal):
        show.out.print(Rule(made.id))
        if isinstance(made, Failure):
            show.text(f"failed in stage {made.stage}: {made.kind}: {made.message}\n")
        else:
            _show_row(made, [stage.column for stage in compiled.stages])


def _show_row(row: Row, columns: list[str]) -> None:
    for name, value in row.model_dump(include={"prompt", *columns}).items():
        show.out.print(f"\n[bold]{name}[/]")
        show.text(value if isinstance(value, str) else to_json(value, indent=2).decode())
    show.text("")
