"""`plan`, `preview`, `generate`, `status`."""

import asyncio
import logging
import re
import shlex
import signal
from pathlib import Path
from typing import Annotated

import platformdirs
import typer
from rich.logging import RichHandler
from rich.rule import Rule

from multifaceted.cli import progress, show
from multifaceted.errors import InputError, InterruptedRunError, Problem
from multifaceted.generate.control import RunControl
from multifaceted.plan import Plan, compile_plan
from multifaceted.plan.compile import model_label
from multifaceted.prompts.preview import preview_row
from multifaceted.records import STAGES, Failure, Row, Tally
from multifaceted.store.manifest import RunData, read_layout
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status

Recipe = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def plan(recipe: Recipe, as_json: Json = False) -> None:
    """Show what a recipe will ask for. Spends nothing and needs no network.

    Example: `multifaceted plan recipe.yaml`
    """
    compiled = compile_plan(recipe)
    if as_json:
        show.data(_plan_as_dict(compiled))
        return
    size = f"{compiled.instructions:,} instructions in {compiled.recipe.variants} variants"
    show.text(f"{compiled.recipe.name}: {size} = {compiled.rows:,} rows (shards: {len(compiled.shards):,})")
    rows = [
        [
            stage,
            compiled.rows,
            model_label(compiled.recipe.model_for(stage)),
            compiled.prompts.hashes[stage][:12],
        ]
        for stage in STAGES
    ]
    show.table("", ["stage", "requests", "model", "template"], rows)
    taxonomy = compiled.prompts.taxonomy
    show.text(
        f"\n{compiled.rows * len(STAGES):,} requests in all, {compiled.recipe.concurrency} at a time, and "
        f"one more for each preference set that needs repair. Taxonomy {taxonomy.name} {taxonomy.version} "
        f"with {len(taxonomy.preferences):,} preferences."
    )


def _plan_as_dict(compiled: Plan) -> dict[str, object]:
    by_stage: dict[str, int] = dict.fromkeys(STAGES, compiled.rows)
    return {
        "name": compiled.recipe.name,
        "instructions": compiled.instructions,
        "variants": compiled.recipe.variants,
        "rows": compiled.rows,
        "shards": len(compiled.shards),
        "requests": {"total": sum(by_stage.values()), **by_stage},
        "models": {stage: model_label(compiled.recipe.model_for(stage)) for stage in STAGES},
        "templates": {name: template.hash for name, template in compiled.prompts.templates.items()},
        "taxonomy": {
            "version": compiled.prompts.taxonomy.version,
            "fingerprint": compiled.prompts.taxonomy.fingerprint,
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
        for stage, turns in preview_row(compiled.prompts, task).items():
            show.out.print(Rule(f"{task.id} · {stage} · {model_label(compiled.recipe.model_for(stage))}"))
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
            _show_row(made)


def _show_row(row: Row) -> None:
    for entry in row.preference_set:
        show.text(f"{entry.dimension} → {entry.subdimension} → {entry.preference}: {entry.description}")
    for title, text in (("system", row.system), ("prompt", row.prompt), ("output", row.output)):
        show.out.print(f"\n[bold]{title}[/]")
        show.text(text)
    show.text("")


def generate(
    recipe: Recipe,
    run: Annotated[Path, typer.Option("--run", help="The run folder; a run that is there goes on.")],
    shards: Annotated[
        str, typer.Option(help="Only these shards, such as 0-3: for several processes that share a run.")
    ] = "",
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log retries.")] = False,
) -> None:
    """Make the rows of a recipe. Resumable: run it again and it goes on where it was.

    Ctrl-C once finishes what is in flight and stops, twice stops at once; nothing that was paid for is lost.

    Example: `multifaceted generate recipe.yaml --run run`
    """
    _log_to_stderr(verbose=verbose)
    compiled = compile_plan(recipe, instructions_per_shard=read_layout(RunFolder(run)))
    wanted = _parse_range(shards, len(compiled.shards)) if shards else None
    control = RunControl()
    try:
        data = asyncio.run(_generate(compiled, run, control, wanted))
    except InterruptedRunError as error:
        words = [
            "multifaceted",
            "generate",
            str(recipe),
            "--run",
            str(run),
            *(["--shards", shards] if shards else []),
        ]
        again = shlex.join(words)
        raise InterruptedRunError(f"{error.message}; everything is saved, go on with: {again}") from error
    _report(compiled, data, run, control.tally, as_json=as_json)
    if control.tally.failed:
        raise typer.Exit(1)


async def _generate(compiled: Plan, run: Path, control: RunControl, shards: range | None) -> RunData:
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK, which only real requests need

    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        if control.stopping and task is not None:
            task.cancel()
        else:
            show.say("stopping: waiting for what is in flight; Ctrl-C again stops at once")
            control.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        async with progress.watch(control.tally):
            return await pipeline.generate(compiled, run, control=control, shards=shards)
    except asyncio.CancelledError as error:
        raise InterruptedRunError("the run was stopped at once") from error
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _report(compiled: Plan, data: RunData, run: Path, tally: Tally, *, as_json: bool) -> None:
    if as_json:
        show.data(read_status(RunFolder(run)).as_dict())
        return
    whole = len(data.summaries)
    show.text(f"{tally.planned:,} rows planned = {tally.ok:,} ok + {tally.failed:,} failed")
    if tally.failed:
        show.text(f"why rows failed: {run}/shards/*/failures.jsonl")
    if whole < len(compiled.shards):
        show.text(f"{whole} of {len(compiled.shards)} shards are whole; the others are for other processes")
    elif data.ok:
        show.text(f"next: {shlex.join(['multifaceted', 'build', str(run), '--out', data.name])}")


def status(run: Annotated[Path, typer.Argument(help="The run folder.")], as_json: Json = False) -> None:
    """Show how far a run is, what failed and what was asked.

    Example: `multifaceted status run --json`
    """
    found = read_status(RunFolder(run))
    if as_json:
        show.data(found.as_dict())
        return
    state = "whole" if found.finished else "not finished"
    show.text(f"{found.name}: {state}, {found.shards['whole']:,} of {found.shards['planned']:,} shards whole")
    show.table("", list(found.rows), [list(found.rows.values())])
    if found.failures:
        show.table("failed rows", ["kind", "rows"], [[kind, rows] for kind, rows in found.failures.items()])
    show.table("replies in the journal", list(found.requests), [list(found.requests.values())])
    show.table("tokens", list(found.tokens), [list(found.tokens.values())])


def _parse_range(text: str, count: int) -> range:
    given = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = (int(given[1]), int(given[2] or given[1])) if given else (0, -1)
    if not first <= last < count:
        raise InputError(
            [Problem("--shards", 0, f"{text!r} is no range of shards between 0 and {count - 1}")]
        )
    return range(first, last + 1)


def _log_to_stderr(*, verbose: bool) -> None:
    handler = RichHandler(console=show.err, show_path=False, show_time=False, markup=False)
    logger = logging.getLogger("multifaceted")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
