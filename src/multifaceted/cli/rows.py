"""`rows`: which rows a run or a built folder holds."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

import multifaceted as mf
from multifaceted.cli.curate import list_reasons
from multifaceted.cli.options import RunOrFolder
from multifaceted.errors import InputError, Problem
from multifaceted.terminal import show

SHOWN = 160  # characters of a text in the list
TEXTS = ("prompt", "system", "output")


def rows(
    source: RunOrFolder,
    *,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=VALUE, or FIELD~TEXT for a text that contains it; repeat it to combine conditions."
            " FIELD is a column of rows, or dimension, subdimension, preference, description."
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Only rows that curation dropped for this reason.", autocompletion=list_reasons),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Only rows that curation keeps.")] = False,
    dropped: Annotated[bool, typer.Option("--dropped", help="Only rows that curation drops.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many rows to show; 0 shows all.")] = 20,
    full: Annotated[bool, typer.Option("--full", help="Show whole texts.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print whole rows, one JSON object a line.")
    ] = False,
) -> None:
    """List finished rows, at any moment of a run.

    Example: `multifaceted rows run --where dimension=style --where output~sorry --limit 5`
    """
    if kept and (dropped or reason):
        raise InputError([Problem("--kept", 0, "no row is both kept and dropped")])
    wanted = True if kept else False if dropped else None
    found = mf.iter_rows(
        source, where=where or (), reason=reason, kept=wanted, limit=limit + 1 if limit else None
    )
    count = 0
    for row in islice(found, limit or None):
        count += 1
        if as_json:
            show.line(row)
        elif full:
            _show_whole(row)
        else:
            _show_line(row)
    if kept or dropped or reason:
        _tell_if_stale(source)
    if next(found, None) is not None:
        show.say(f"there are more than these {count:,}; --limit 0 shows all")
    elif not count:
        show.say("no finished row matches")


def _show_line(row: dict[str, Any]) -> None:
    entries = ", ".join(f"{entry['dimension']}: {entry['preference']}" for entry in row["preference_set"])
    show.text(f"{row['id']}  [{_shorten(entries)}]")
    for name in ("prompt", "output"):
        show.text(f"  {name:<7} {_shorten(row[name])}")


def _show_whole(row: dict[str, Any]) -> None:
    show.rule(row["id"])
    for name, value in row.items():
        if name == "preference_set":
            for entry in value:
                path = " → ".join((entry["dimension"], entry["subdimension"], entry["preference"]))
                show.text(f"  {path}: {entry['description']}")
        elif name in TEXTS:
            show.text(f"[{name}] {value}")
        elif name != "id":
            show.text(f"{name}: {value}")


def _shorten(text: str) -> str:
    """Return the first line that says anything, cut where it is long."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return first if len(first) <= SHOWN else f"{first[:SHOWN]}…"


def _tell_if_stale(source: Path) -> None:
    found = mf.open_run(source).curation if (source / "run.json").exists() else None
    if found and (stale := found.stale):
        show.say(f"the curation is stale, {stale}: rows that it has not seen are not listed")
