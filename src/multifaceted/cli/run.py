"""`generate` and `retry`: the commands that spend."""

import asyncio
import re
import shlex
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from multifaceted.ask.control import RunControl
from multifaceted.cli import progress, show
from multifaceted.cli.look import FAILURE_KINDS, Kinds, Moved, Run, read_kinds
from multifaceted.cli.plan import Recipe
from multifaceted.errors import FailureKind, InputError, InterruptedRunError, MultifacetedError, Problem
from multifaceted.planning import Plan, compile_plan
from multifaceted.records import Tally
from multifaceted.store.manifest import RunData, read_layout, read_recipe_file
from multifaceted.store.mend import infer_layout, mend_run, refuse_foreign
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.salvage import salvage_journals
from multifaceted.store.status import read_status

MaxUsd = Annotated[
    float | None, typer.Option("--max-usd", help="What the run may cost, all its starts together.")
]
Events = Annotated[bool, typer.Option("--json", help="Print events as JSON lines, for scripts.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every request that is asked again.")]


@dataclass(frozen=True)
class _Order:
    """What a command wants done."""

    recipe: Path
    run: Path
    again: list[str]  # the command that goes on with it
    shards: str = ""
    max_usd: float | None = None
    retry: Collection[FailureKind] | None = None
    live_fallback: int = 0
    as_json: bool = False


def generate(
    recipe: Recipe,
    run: Annotated[Path, typer.Option("--run", help="The run folder; a run that is there goes on.")],
    *,
    shards: Annotated[
        str, typer.Option(help="Only these shards, such as 0-3: for several processes that share a run.")
    ] = "",
    max_usd: MaxUsd = None,
    live_fallback: Annotated[
        int, typer.Option(min=0, help="In batch mode: ask live once no more requests than these are missing.")
    ] = 0,
    salvage: Annotated[
        bool,
        typer.Option("--salvage", help="First replace damaged journals by all that can be read of them."),
    ] = False,
    as_json: Events = False,
    verbose: Verbose = False,
) -> None:
    """Make the rows of a recipe. Resumable: run it again and it goes on where it was.

    Ctrl-C once finishes what is in flight and stops, twice stops at once; nothing that was paid for is lost.

    Example: `multifaceted generate recipe.yaml --run run --max-usd 20`
    """
    show.log(verbose=verbose)
    for found in salvage_journals(RunFolder(run)) if salvage else ():
        show.say(
            f"{found.path}: {found.replies:,} replies could be read; the damaged file is {found.kept.name}"
        )
    again = ["generate", str(recipe), "--run", str(run), *(["--shards", shards] if shards else [])]
    order = _Order(recipe, run, again, shards, max_usd, live_fallback=live_fallback, as_json=as_json)
    _carry_out(order)


def retry(
    run: Run,
    *,
    kind: Kinds = None,
    recipe: Moved = None,
    max_usd: MaxUsd = None,
    as_json: Events = False,
    verbose: Verbose = False,
) -> None:
    """Ask again for the rows that failed, and for nothing else. Their first replies are kept.

    Rows that a filter or a rule of ours failed are asked with another seed. Truncated ones come about once
    the recipe has a larger max_tokens.

    Example: `multifaceted retry run --kind refused --kind invalid_reply`
    """
    show.log(verbose=verbose)
    kinds = read_kinds(kind) or FAILURE_KINDS
    words = [word for name in kind or () for word in ("--kind", name)]
    path = recipe or read_recipe_file(RunFolder(run))
    again = ["retry", str(run), *words]
    _carry_out(_Order(path, run, again, max_usd=max_usd, retry=kinds, as_json=as_json))


def _carry_out(order: _Order) -> None:
    compiled = _compile(order)
    wanted = _parse_range(order.shards, len(compiled.shards)) if order.shards else None
    control = RunControl()
    try:
        data = asyncio.run(_work(compiled, order, control, wanted))
    except MultifacetedError as error:
        if order.as_json:
            show.line({"event": "stopped", "reason": error.message, "hint": error.hint})
        if isinstance(error, InterruptedRunError):
            again = shlex.join(["multifaceted", *order.again])
            raise InterruptedRunError(f"{error.message}; everything is saved, go on with: {again}") from error
        raise
    _report(compiled, data, order, control.tally)
    if control.tally.failed:
        raise typer.Exit(1)


def _compile(order: _Order) -> Plan:
    """The plan of a run, in the layout with which the run was started."""
    folder = RunFolder(order.run)
    refuse_foreign(folder)
    mend_run(folder)
    layout = read_layout(folder)
    compiled = compile_plan(order.recipe, instructions_per_shard=layout)
    inferred = infer_layout(folder, compiled.recipe.variants) if layout is None else None
    if inferred not in (None, compiled.instructions_per_shard):
        compiled = compile_plan(order.recipe, instructions_per_shard=inferred)
    return compiled


async def _work(compiled: Plan, order: _Order, control: RunControl, shards: range | None) -> RunData:
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK, which only real requests need

    def stop() -> None:
        show.say("stopping: waiting for what is in flight; Ctrl-C again stops at once")
        control.stop()

    try:
        with control.heed_signals(stop):
            async with progress.watch(control, as_json=order.as_json):
                return await pipeline.generate(
                    compiled,
                    order.run,
                    control=control,
                    shards=shards,
                    max_usd=order.max_usd,
                    retry=order.retry,
                    live_fallback=order.live_fallback,
                )
    except asyncio.CancelledError as error:
        raise InterruptedRunError("the run was stopped at once") from error


def _report(compiled: Plan, data: RunData, order: _Order, tally: Tally) -> None:
    if order.as_json:
        show.line({"event": "finished", **asdict(read_status(RunFolder(order.run)))})
        return
    whole = len(data.summaries)
    left = tally.planned - tally.done  # of a retry: rows of shards that are not whole
    pending = f" + {left:,} pending" if left else ""
    show.text(f"{tally.planned:,} rows planned = {tally.ok:,} ok + {tally.failed:,} failed{pending}")
    if tally.failed:
        show.advise(f"why rows failed: {shlex.join(['multifaceted', 'failures', str(order.run)])}")
    if left:
        again = shlex.join(["multifaceted", "generate", str(order.recipe), "--run", str(order.run)])
        missing = len(compiled.shards) - whole
        show.advise(f"{missing} of {len(compiled.shards)} shards are not whole yet; go on with: {again}")
    elif whole < len(compiled.shards):
        show.text(f"{whole} of {len(compiled.shards)} shards are whole; the others are for other processes")
    elif data.ok:
        show.advise(f"next: {shlex.join(['multifaceted', 'build', str(order.run), '--out', data.name])}")


def _parse_range(text: str, count: int) -> range:
    given = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    first, last = (int(given[1]), int(given[2] or given[1])) if given else (0, -1)
    if not first <= last < count:
        raise InputError(
            [Problem("--shards", 0, f"{text!r} is no range of shards between 0 and {count - 1}")]
        )
    return range(first, last + 1)
