"""`generate` and `retry`: the functions that spend."""

import asyncio
import re
from collections.abc import Collection
from pathlib import Path

from multifaceted import pipeline
from multifaceted.api.blocking import Session
from multifaceted.api.inputs import INPUTS, write_inputs
from multifaceted.api.run_parts import read_kinds
from multifaceted.api.runs import Run, to_path
from multifaceted.ask.control import RunControl
from multifaceted.errors import FAILURE_KINDS, FailureKind, InputError, InterruptedRunError, Problem
from multifaceted.planning import Plan, Recipe, compile_plan
from multifaceted.store.manifest import RunData, read_layout, read_recipe_file
from multifaceted.store.mend import infer_layout, mend_run, refuse_foreign
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.salvage import salvage_journals
from multifaceted.terminal import show
from multifaceted.terminal.progress import Progress


def generate(
    recipe: str | Path | Recipe,
    run: str | Path | Run,
    *,
    shards: str | range | None = None,
    max_usd: float | None = None,
    live_fallback: int = 0,
    salvage: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Make the rows of a recipe, or go on where an earlier start stopped. Blocks until it is done.

    In a notebook, and wherever an event loop is running, the work is done in a thread. Ctrl-C once finishes
    what is in flight and stops, twice stops at once; what was paid for is saved, and the same call goes on.

    Args:
        recipe: a recipe, or its file. One that was made in Python is written into the run folder.
        run: the run folder; made where there is none.
        shards: only these, such as `range(0, 4)` or `"0-3"`: for several processes that share a run.
        max_usd: the budget of the whole run, over all restarts; None: what the recipe says.
        live_fallback: in batch mode, ask live once no more requests than these are missing.
        salvage: first replace damaged journals by all that can be read of them.
        progress: None shows it on stderr, False nowhere; a function gets a `Snapshot` every few seconds.

    Raises:
        InputError: with every problem of the recipe and what it names.
        InterruptedRunError: after Ctrl-C.
        LimitReachedError: where a limit of the recipe was reached: money or failures.
        MultifacetedError: what else stopped the run.
    """
    folder = RunFolder(to_path(run))
    for found in salvage_journals(folder) if salvage else ():
        name = found.kept.name
        show.say(f"{found.path}: {found.replies:,} replies could be read; the damaged file is {name}")
    refuse_foreign(folder)
    path = write_inputs(recipe, folder.path / INPUTS) if isinstance(recipe, Recipe) else Path(recipe)
    compiled = _compile(path, folder)
    wanted = _parse_shards(shards, len(compiled.shards))
    return _work(compiled, folder, progress, shards=wanted, max_usd=max_usd, live_fallback=live_fallback)


def retry(
    run: str | Path | Run,
    kinds: Collection[str] = (),
    *,
    recipe: str | Path | Recipe | None = None,
    max_usd: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Ask again for the rows that failed, and for nothing else. Their first replies are kept.

    Args:
        run: the run folder.
        kinds: only failures of these kinds, such as `refused`; empty for all.
        recipe: where the recipe is now, if it was moved.
        max_usd: as in `generate`.
        progress: as in `generate`.

    Raises:
        InputError: where no row can be asked again, or there is no such kind.
        MultifacetedError: what stopped the run.
    """
    wanted = read_kinds(kinds) or FAILURE_KINDS
    folder = RunFolder(to_path(run))
    if isinstance(recipe, Recipe):
        recipe = write_inputs(recipe, folder.path / INPUTS)
    path = Path(recipe) if recipe else read_recipe_file(folder)
    refuse_foreign(folder)
    return _work(_compile(path, folder), folder, progress, max_usd=max_usd, retry=wanted)


def _compile(path: Path, folder: RunFolder) -> Plan:
    """Return the plan of a run, in the layout with which the run was started."""
    mend_run(folder)
    layout = read_layout(folder)
    compiled = compile_plan(path, instructions_per_shard=layout)
    inferred = infer_layout(folder, compiled.recipe.variants) if layout is None else None
    if inferred not in (None, compiled.instructions_per_shard):
        compiled = compile_plan(path, instructions_per_shard=inferred)
    return compiled


def _work(
    compiled: Plan,
    folder: RunFolder,
    progress: Progress | None,
    *,
    shards: range | None = None,
    max_usd: float | None = None,
    retry: Collection[FailureKind] | None = None,
    live_fallback: int = 0,
) -> Run:
    session, control = Session(progress), RunControl()

    async def work() -> RunData:
        async with session.watch(control):
            return await pipeline.generate(
                compiled,
                folder.path,
                control=control,
                shards=shards,
                max_usd=max_usd,
                retry=retry,
                live_fallback=live_fallback,
            )

    try:
        data = session.call(lambda: asyncio.run(work()))
    except InterruptedRunError as error:
        raise InterruptedRunError(error.message, hint="everything is saved; the same call goes on") from error
    return Run(folder.path, control.tally, data)


def _parse_shards(given: str | range | None, count: int) -> range | None:
    if given is None or isinstance(given, range):
        return given
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", given)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, -1)
    if not first <= last < count:
        message = f"{given!r} is not a range of shards between 0 and {count - 1}"
        raise InputError([Problem("--shards", 0, message)])
    return range(first, last + 1)
