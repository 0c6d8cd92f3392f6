"""`report` and `diff`: looking at a dataset, and at what changed between two."""

from pathlib import Path
from typing import Annotated

import typer

from multifaceted.cli import show
from multifaceted.cli.plan import Json
from multifaceted.errors import InputError
from multifaceted.store.atomic import read_json
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.manifest import read_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.taxonomy import Taxonomy, load_taxonomy

PROSE = ("system", "prompt", "output", "input", "chosen", "rejected")


def report(
    place: Annotated[Path, typer.Argument(help="A run folder or a built folder.", metavar="RUN|FOLDER")],
    out: Annotated[Path, typer.Option("--out", help="Where to write; files of others there stay.")],
    *,
    rows: Annotated[int, typer.Option(min=0, help="How many rows the page shows.")] = 300,
    taxonomy: Annotated[
        Path | None, typer.Option(help="The taxonomy file, where it is not the one of the run's recipe.")
    ] = None,
    curation: Annotated[
        bool, typer.Option(help="Leave out the rows that a run's curation drops, where it has one.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Write a page with figures, numbers and a browser over rows. It needs no network.

    Example: `multifaceted report run --out report`
    """
    from multifaceted.reporting.page import PAGE, write_report  # noqa: PLC0415 - polars, which takes a moment

    with show.err.status("") as spinner:
        found = write_report(
            place,
            out,
            taxonomy=_find_taxonomy(place, taxonomy),
            rows=rows,
            curated=curation,
            tell=spinner.update,
        )
    if as_json:
        show.data({"page": str(out / PAGE), **found.as_dict()})
        return
    show.text(f"{found.kept:,} rows for {found.instructions:,} instructions, {found.pairs:,} pairs")
    pending, planned = found.counts["pending"], found.counts["planned"]
    if pending:
        show.text(f"the run is not finished: {pending:,} of {planned:,} planned rows are missing")
    show.text(f"open {(out / PAGE).resolve().as_uri()}")


def diff(
    old: Annotated[Path, typer.Argument(help="A built folder.")],
    new: Annotated[Path, typer.Argument(help="Another one, of either format.")],
    as_json: Json = False,
) -> None:
    """Show which rows were added, removed and changed, by config and field.

    Example: `multifaceted diff multifaceted_collection.old multifaceted_collection`
    """
    from multifaceted.reporting.compare import compare_folders  # noqa: PLC0415 - the same

    found = compare_folders(old, new)
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


def _find_taxonomy(place: Path, given: Path | None) -> Taxonomy | None:
    """The taxonomy that the rows were made with, as far as it is at hand."""
    if given is not None:
        return load_taxonomy(given)
    built = read_built_manifest(place)
    data = read_run(RunFolder(place)) if built is None else built.run
    written = read_json(place / "run.json") or {}
    source = written.get("environment", {}).get("recipe", {}).get("taxonomy", "default")
    for candidate in dict.fromkeys((source, "default")):
        try:
            found = load_taxonomy(candidate)
        except (InputError, OSError):  # the file was moved or changed since
            continue
        if found.fingerprint == data.taxonomy["fingerprint"]:
            return found
    return None
