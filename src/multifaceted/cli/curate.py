"""`curate`: which rows of a run to leave out of what is built, and why."""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import multifaceted as mf
from multifaceted.cli.options import Json, Run
from multifaceted.errors import MultifacetedError
from multifaceted.terminal import show
from multifaceted.terminal.rows import describe_finding, shorten

if TYPE_CHECKING:
    from multifaceted.curation.sample import Example

SUSPICIOUS = 0.5  # share of the rows that one filter drops, from which on it may be the filter that is wrong


def list_reasons(context: typer.Context) -> list[str]:
    """For Tab: the reasons of the run's curation, or where it has none yet, the filters that ship."""
    run = Path(context.params.get("run") or context.params.get("source") or ".")
    with suppress(MultifacetedError, OSError):
        found = mf.open_run(run).curation
        if found is not None:
            return sorted(found.reasons)
    return mf.list_filters()


def curate(
    run: Run,
    *,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A curation recipe; the default is every filter.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write the record here instead of into the run, to try a recipe."),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            "--show",
            help="Show rows with this reason, of the last curation unless --recipe is given.",
            autocompletion=list_reasons,
        ),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many rows to show.")] = 5,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask models again about rows that they said nothing of.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run filters and judges over a finished run, and record which rows are kept. No row is changed.

    `build` leaves out what is dropped. Running it again replaces the record, and sends no request that was
    sent before.

    Example: `multifaceted curate run --recipe curate.yaml`
    """
    found = mf.open_run(run).read_curation(out) if reason and recipe is None else None
    if found is None:
        found = mf.curate(run, recipe, out=out, retry=retry)
    if reason:
        _show_rows(found, reason, limit=limit, as_json=as_json)
    elif as_json:
        show.data({"folder": str(found.path), **found.data.model_dump(mode="json")})
    else:
        _report(found, is_trial=out is not None)


def _report(found: "mf.Curated", *, is_trial: bool) -> None:
    total = found.kept + found.dropped
    show.text(f"{total:,} rows = {found.kept:,} kept + {found.dropped:,} dropped")
    rows = [[name, count, "dropped"] for name, count in found.reasons.items()]
    rows += [[name, count, "noted"] for name, count in found.data.notes.items()]
    if rows:
        show.table("a row may have several reasons", ["reason", "rows", ""], rows)
        show.advise(f"look at some: multifaceted curate {found.run} --show {rows[0][0]}")
    for name, count in found.reasons.items():
        if count > total * SUSPICIOUS and name in found.data.filters:
            show.text(
                f"{name} drops {count / total:.0%} of all rows: if it does not fit them, "
                f"a recipe (--recipe) with `filters: {{{name}: false}}` switches it off"
            )
    if found.data.judges:
        _report_judges(found.data.judges)
    show.text(f"the record: {found.path}")
    if not is_trial:
        show.advise(f"next: multifaceted build {found.run} --out DIR")


def _report_judges(said: dict[str, Any]) -> None:
    dimensions = list(dict.fromkeys(name for means in said["means"].values() for name in means))
    rows = [
        [judge, *(f"{means[d]:.2f}" if d in means else "none" for d in dimensions)]
        for judge, means in said["means"].items()
    ]
    show.table(f"mean scores of {said['judged']:,} judged rows", ["judge", *dimensions], rows)
    for pair in said["agreement"]:
        kappa = "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}"
        equal = "" if pair["equal"] is None else f", equal scores {pair['equal']:.0%}"
        show.text(f"agreement of {' and '.join(pair['judges'])}: weighted kappa {kappa}{equal}")


def _show_rows(found: "mf.Curated", reason: str, *, limit: int, as_json: bool) -> None:
    examples = found.examples(reason, limit)
    if as_json:
        show.data([asdict(example) for example in examples])
        return
    for example in examples:
        _show_example(example)
    total = found.reasons.get(reason, 0) + found.data.notes.get(reason, 0)
    show.text(f"\n{len(examples):,} of {total:,} rows with {reason}")
    show.advise(f"the whole story of one: multifaceted why {found.run} ROW")


def _show_example(example: "Example") -> None:
    show.rule(f"{example.id}  {example.verdict}")
    for finding in example.findings:
        show.text(describe_finding(finding))
    for name, text in example.texts.items():
        show.text(f"[{name}] {shorten(text)}")
