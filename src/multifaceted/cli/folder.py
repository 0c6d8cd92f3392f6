"""`build` and `check`."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import multifaceted as mf
from multifaceted.cli.options import Json
from multifaceted.terminal import show


class Format(StrEnum):
    """File formats of a published folder."""

    arrow = "arrow"
    parquet = "parquet"


def build(
    run: Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; other files in it are kept.")],
    *,
    file_format: Annotated[
        Format, typer.Option("--format", help="File format of the shards.")
    ] = Format.arrow,
    card: Annotated[Path | None, typer.Option("--card", help="A card template of your own.")] = None,
    curation: Annotated[
        bool, typer.Option(help="Leave out the rows that the run's curation drops, where it has one.")
    ] = True,
    partial: Annotated[
        bool, typer.Option("--partial", help="Build from an unfinished run: the rows finished so far.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a folder that `load_dataset` opens; with `--partial`, from an unfinished run too.

    Example: `multifaceted build run --out multifaceted_collection`
    """
    built = mf.build(run, out, file_format=file_format.value, card=card, curation=curation, partial=partial)
    manifest = built.manifest
    if built.notice:
        show.say(f"note: {built.notice}")
    if as_json:
        show.data(
            {
                "folder": str(out),
                "digest": built.digest,
                "rows": built.rows,
                "notice": built.notice,
                "pending": manifest.pending,
            }
        )
        return
    show.table(f"{out}", ["config", "rows", "bytes"], [[c.name, c.rows, c.bytes] for c in manifest.configs])
    if manifest.pending:
        show.text(f"partial: {manifest.made}; no curation is applied to an unfinished run")
    if manifest.run.failed:
        show.text(f"{manifest.run.failed:,} failed rows are left out; the card says why")
    if manifest.curation:
        show.text(f"{manifest.curation.dropped:,} rows that curation drops are left out; the card says why")
    parent = out.resolve().parent
    show.text(f'next, in {parent}: load_dataset("{out.name}")')


def check(
    folder: Annotated[Path, typer.Argument(help="A built folder, or a run folder.", metavar="FOLDER|RUN")],
    as_json: Json = False,
) -> None:
    """Check a folder: checksums, row counts, schema, ids, and that `datasets` loads it. Lists every fault.

    Example: `multifaceted check multifaceted_collection`
    """
    found = mf.check(folder)
    if as_json:
        pending = {"pending": found.built.pending} if found.built else {}
        show.data({"ok": found.ok, "faults": found.faults, **pending})
    elif found.ok:
        show.text(f"{folder}: nothing is wrong")
        if found.built and found.built.pending:
            show.text(f"partial build: {found.built.made}")
    else:
        show.text(f"faults found in {folder}: {len(found.faults)}")
        for fault in found.faults:
            show.text(fault)
        if found.recipe:
            again = shlex.join(["multifaceted", "generate", found.recipe, "--run", str(folder)])
            show.advise(f"what is damaged comes back from the journals, and no reply is paid twice: {again}")
    if not found.ok:
        raise typer.Exit(1)
