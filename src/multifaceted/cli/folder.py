"""`build` and `check`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from multifaceted.cli import show
from multifaceted.cli.plan import Json
from multifaceted.errors import InputError, StorageError
from multifaceted.planning import compile_plan
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.manifest import read_layout, read_recipe_file
from multifaceted.store.run_folder import RunFolder


class Format(StrEnum):
    """File formats of a published folder."""

    arrow = "arrow"
    parquet = "parquet"


def build(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    out: Annotated[Path, typer.Option("--out", help="Where to build; files of others there stay.")],
    *,
    file_format: Annotated[Format, typer.Option("--format", help="Of the published shards.")] = Format.arrow,
    card: Annotated[Path | None, typer.Option("--card", help="Your template of the card.")] = None,
    curation: Annotated[
        bool, typer.Option(help="Leave out the rows that the run's curation drops, where it has one.")
    ] = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="Of an unfinished run, take the rows that are done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a folder that `load_dataset` opens; with `--partial`, from an unfinished run too.

    Example: `multifaceted build run --out multifaceted_collection`
    """
    from multifaceted.building.folder import build_folder  # noqa: PLC0415 - `datasets` takes a second to import

    notice = compare_recipe(run)
    if notice:
        show.say(f"note: {notice}")
    manifest = build_folder(
        run, out, file_format=file_format.value, card=card, curated=curation, partial=partial
    )
    if as_json:
        show.data(
            {
                "folder": str(out),
                "digest": manifest.digest,
                "rows": {c.name: c.rows for c in manifest.configs},
                "notice": notice,
                "pending": manifest.pending,
            }
        )
        return
    show.table(f"{out}", ["config", "rows", "bytes"], [[c.name, c.rows, c.bytes] for c in manifest.configs])
    if manifest.pending:
        show.text(f"partial: {manifest.made}; no curation is applied to a run that is not whole")
    if manifest.run.failed:
        show.text(f"{manifest.run.failed:,} failed rows are left out; the card says why")
    if manifest.curation:
        show.text(f"{manifest.curation.dropped:,} rows that curation drops are left out; the card says why")
    parent = out.resolve().parent
    show.text(f'next, in {parent}: load_dataset("{out.name}")')


def compare_recipe(run: Path) -> str:
    """What to say of a recipe that has changed since the run; empty where it has not, or is gone."""
    from multifaceted import pipeline  # noqa: PLC0415 - brings the SDK

    folder = RunFolder(run)
    try:
        recipe = read_recipe_file(folder)
        if not recipe.is_file():
            return ""
        plan = compile_plan(recipe, instructions_per_shard=read_layout(folder))
        changes = pipeline.find_changes(plan, run)
    except StorageError:
        return ""  # whatever is wrong with the run, building tells
    except InputError as error:
        return f"whether {recipe} has changed since the run cannot be told: {error.problems[0]}"
    if not changes:
        return ""
    again = shlex.join(["multifaceted", "plan", str(recipe), "--run", str(run)])
    return f"{recipe} has changed since the run ({'; '.join(changes)}); see what it would ask: {again}"


def _name_recipe(run: Path) -> str:
    """Where the recipe of a run is, as far as the run can tell."""
    try:
        return str(read_recipe_file(RunFolder(run)))
    except StorageError:
        return "RECIPE"


def check(
    folder: Annotated[Path, typer.Argument(help="A built folder, or a run folder.")],
    as_json: Json = False,
) -> None:
    """Check a folder: checksums, row counts, schema, ids, and that `datasets` loads it. Lists every fault.

    Example: `multifaceted check multifaceted_collection`
    """
    from multifaceted.building.check import check_folder  # noqa: PLC0415 - `datasets` takes a second to import

    faults = check_folder(folder)
    built = read_built_manifest(folder) if not faults else None
    if as_json:
        pending = {"pending": built.pending} if built else {}
        show.data({"ok": not faults, "faults": faults, **pending})
    elif faults:
        show.text(f"faults found in {folder}: {len(faults)}")
        for fault in faults:
            show.text(fault)
        if (folder / "shards").is_dir():
            again = shlex.join(["multifaceted", "generate", _name_recipe(folder), "--run", str(folder)])
            show.advise(f"what is damaged comes back from the journals, and no reply is paid twice: {again}")
    else:
        show.text(f"{folder}: nothing is wrong")
        if built and built.pending:
            show.text(f"partial build: {built.made}")
    if faults:
        raise typer.Exit(1)
