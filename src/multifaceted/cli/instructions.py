"""`instructions prepare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

import multifaceted as mf
from multifaceted.cli.options import Json
from multifaceted.terminal import show

app = typer.Typer(help="Make a pool of instructions.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `prepare` a word of its own: an app of one command would drop it."""


@app.command()
def prepare(
    recipe: Annotated[Path, typer.Argument(help="The recipe of sources, a YAML file.", metavar="SOURCES")],
    out: Annotated[
        Path, typer.Option("--out", help="The file to write, .parquet or .jsonl; an earlier one is replaced.")
    ],
    as_json: Json = False,
) -> None:
    """Read instruction pools, clean them, leave out duplicates and benchmark prompts, and draw a sample.

    Beside it stand what was dropped and why (`.dropped`), what was changed (`.changed`), and a report.

    Example: `multifaceted instructions prepare sources.yaml --out instructions.parquet`
    """
    report = mf.prepare_instructions(recipe, out).report
    if as_json:
        show.data(report)
    else:
        _show(report, out)
    if not report["funnel"]["kept"]:
        show.say("nothing is left; the file of dropped rows says why")
        raise typer.Exit(1)


def _show(report: dict[str, Any], out: Path) -> None:
    funnel = report["funnel"]
    left, rows = funnel["read"], []
    for reason, dropped in funnel["dropped"].items():
        left -= dropped
        if dropped:
            rows.append([reason, dropped, left])
    show.table("", ["step", "dropped", "left"], [["read", "", funnel["read"]], *rows])
    names = list(funnel["by_source"])
    sources = [[name, funnel["by_source"][name]["read"], funnel["by_source"][name]["kept"]] for name in names]
    show.table("sources", ["source", "read", "kept"], sources)
    show.table(
        "licenses of what is kept", ["license", "rows"], [list(row) for row in report["licenses"].items()]
    )
    if report["decontamination"]:
        found = report["decontamination"]["dropped_by"]
        show.table(
            "benchmarks that dropped rows", ["benchmark", "rows"], [list(row) for row in found.items()]
        )
    total = sum(funnel["dropped"].values())
    show.text(f"{funnel['read']:,} rows read = {funnel['kept']:,} kept + {total:,} dropped")
    dropped = out.with_name(f"{out.stem}.dropped{out.suffix}")
    show.text(f"{out}; why rows were dropped: {dropped}")
