"""`generate` and `retry`: the commands that spend."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import multifaceted as mf
from multifaceted.cli.options import Kinds, Moved, Recipe, Run
from multifaceted.errors import InterruptedRunError, MultifacetedError
from multifaceted.terminal import show

if TYPE_CHECKING:
    from multifaceted.terminal.progress import Snapshot

MaxUsd = Annotated[
    float | None, typer.Option("--max-usd", help="Budget in USD for the whole run, over all restarts.")
]
Events = Annotated[bool, typer.Option("--json", help="Print events as JSON lines, for scripts.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every retry.")]


def generate(
    recipe: Recipe,
    run: Annotated[Path, typer.Option("--run", help="The run folder; an existing run is resumed.")],
    *,
    shards: Annotated[
        str | None,
        typer.Option(help="Only these shards, such as 0-3: for several processes that share a run."),
    ] = None,
    max_usd: MaxUsd = None,
    live_fallback: Annotated[
        int,
        typer.Option(
            min=0, help="In batch mode: send the last requests live once at most this many are missing."
        ),
    ] = 0,
    salvage: Annotated[
        bool,
        typer.Option(
            "--salvage", help="First rebuild damaged journals from every reply that can still be read."
        ),
    ] = False,
    as_json: Events = False,
    verbose: Verbose = False,
) -> None:
    """Generate the rows of a recipe. Run it again to resume where it stopped.

    Ctrl-C once waits for the requests in flight and stops; twice stops at once and gives those up.

    Example: `multifaceted generate recipe.yaml --run run --max-usd 20`
    """
    show.log(verbose=verbose)
    again = ["generate", str(recipe), "--run", str(run), *(["--shards", shards] if shards else [])]
    with _told(again, as_json=as_json):
        made = mf.generate(
            recipe,
            run,
            shards=shards or None,
            max_usd=max_usd,
            live_fallback=live_fallback,
            salvage=salvage,
            progress=_print_event if as_json else None,
        )
    _report(made, ["generate", str(recipe), "--run", str(run)], as_json=as_json)


def retry(
    run: Run,
    *,
    kind: Kinds = None,
    recipe: Moved = None,
    max_usd: MaxUsd = None,
    as_json: Events = False,
    verbose: Verbose = False,
) -> None:
    """Retry the rows that failed, and only those. Their first replies are kept.

    Rows whose reply was refused or invalid are retried with another seed. Truncated ones need a larger
    max_tokens in the recipe first.

    Example: `multifaceted retry run --kind refused --kind invalid_reply`
    """
    show.log(verbose=verbose)
    again = ["retry", str(run), *(word for name in kind or () for word in ("--kind", name))]
    with _told(again, as_json=as_json):
        progress = _print_event if as_json else None
        made = mf.retry(run, kind or (), recipe=recipe, max_usd=max_usd, progress=progress)
    _report(made, ["generate", str(made.recipe_file), "--run", str(run)], as_json=as_json)


def _print_event(seen: "Snapshot") -> None:
    show.line({"event": "progress", **asdict(seen)})


@contextmanager
def _told(again: list[str], *, as_json: bool) -> Iterator[None]:
    """Tell scripts why a run stopped, and people how it goes on."""
    try:
        yield
    except MultifacetedError as error:
        if as_json:
            show.line({"event": "stopped", "reason": error.message, "hint": error.hint})
        if isinstance(error, InterruptedRunError):
            words = shlex.join(["multifaceted", *again])
            message = f"{error.message}; everything is saved, resume with: {words}"
            raise InterruptedRunError(message) from error
        raise


def _report(made: "mf.Run", again: list[str], *, as_json: bool) -> None:
    tally, data = made.tally, made.data
    assert tally is not None  # noqa: S101 - it was started
    assert data is not None  # noqa: S101 - the same
    if as_json:
        show.line({"event": "finished", **asdict(made.status)})
    else:
        finished, planned = len(data.summaries), len(data.shards)
        left = tally.planned - tally.done  # of a retry: rows of shards that are not finished
        pending = f" + {left:,} pending" if left else ""
        show.text(f"{tally.planned:,} rows planned = {tally.ok:,} ok + {tally.failed:,} failed{pending}")
        if tally.failed:
            show.advise(f"why rows failed: {shlex.join(['multifaceted', 'failures', str(made.path)])}")
        if left:
            words = shlex.join(["multifaceted", *again])
            show.advise(
                f"{planned - finished} of {planned} shards are not finished yet; resume with: {words}"
            )
        elif finished < planned:
            show.text(f"{finished} of {planned} shards are finished; the others are for other processes")
        elif data.ok:
            words = shlex.join(["multifaceted", "build", str(made.path), "--out", data.name])
            show.advise(f"next: {words}")
    if tally.failed:
        raise typer.Exit(1)
