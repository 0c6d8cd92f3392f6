"""`report` and `diff`: looking at a dataset, and at what changed between two."""

from pathlib import Path
from typing import Annotated

import typer

import multifaceted as mf
from multifaceted.cli.options import Json, RunOrFolder
from multifaceted.terminal import show

PROSE = ("system", "prompt", "output", "input", "chosen", "rejected")


def report(
    source: RunOrFolder,
    out: Annotated[Path, typer.Option("--out", help="The folder to write; other files in it are kept.")],
    *,
    rows: Annotated[int, typer.Option(min=0, help="How many rows the page shows.")] = 300,
    taxonomy: Annotated[
        Path | None, typer.Option(help="The taxonomy file, if it is not the one in the run's recipe.")
    ] = None,
    curation: Annotated[
        bool, typer.Option(help="Leave out the rows that a run's curation drops, where it has one.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write a page with figures, numbers and a browser over rows. It needs no network.

    Example: `multifaceted report run --out report`
    """
    with show.err.status("") as spinner:
        done = mf.report(source, out, taxonomy=taxonomy, rows=rows, curation=curation, tell=spinner.update)
    found = done.statistics
    if as_json:
        show.data({"page": str(done.page), **found.as_dict()})
        return
    show.text(f"{found.kept:,} rows for {found.instructions:,} instructions, {found.pairs:,} pairs")
    pending, planned = found.counts["pending"], found.counts["planned"]
    if pending:
        show.text(f"the run is not finished: {pending:,} of {planned:,} planned rows are missing")
    show.text(f"open {done.page.resolve().as_uri()}")


def diff(
    old: Annotated[Path, typer.Argument(help="A built folder.", metavar="OLD")],
    new: Annotated[Path, typer.Argument(help="Another one, of either format.", metavar="NEW")],
    as_json: Json = False,
) -> None:
    """Show which rows were added, removed and changed, by config and field.

    Example: `multifaceted diff multifaceted_collection.old multifaceted_collection`
    """
    found = mf.diff(old, new)
    if as_json:
        show.data(found.as_dict())
        return
    columns = ["config", "rows before", "rows now", "added", "removed", "changed", "other split", "fields"]
    lines = [
        [name, *d.rows, d.added, d.removed, d.changed, d.moved, _name_fields(d.fields)]
        for name, d in found.configs.items()
    ]
    show.table("", columns, lines)
    for title, (before, now) in (("taxonomy", found.taxonomy), ("models", found.models)):
        if before != now:
            show.text(f"{title}: {before} → {now}")
    show.text(f"failed rows: {found.failed[0]:,} → {found.failed[1]:,}")
    lengths = [
        [name, field, f"{before:,.0f}", f"{now:,.0f}"]
        for name, d in found.configs.items()
        for field, (before, now) in d.mean_characters.items()
        if field in PROSE and before is not None and now is not None and before != now
    ]
    if lengths:
        show.table("mean length in characters", ["config", "field", "before", "now"], lengths)
    if found.equal:
        show.text("all rows are the same")


def _name_fields(fields: dict[str, int]) -> str:
    return ", ".join(f"{name} ({rows:,})" for name, rows in fields.items())
