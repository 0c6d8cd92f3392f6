"""`curate`: which rows of a run to leave out of what is built, and why."""

from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from multifaceted.cli import progress, show
from multifaceted.cli.look import Run
from multifaceted.cli.plan import Json
from multifaceted.errors import InputError, MultifacetedError, Problem
from multifaceted.store.curation import CurationData, curation_folder, read_curation
from multifaceted.store.run_folder import RunFolder
from multifaceted.yamlfile import suggest

if TYPE_CHECKING:
    from multifaceted.curation.sample import Example

MAX_SHOWN = 600  # characters of a text
SUSPICIOUS = 0.5  # share of the rows that one filter drops, from which on it may be the filter that is wrong


def list_reasons(context: typer.Context) -> list[str]:
    """For Tab: the reasons of the run's curation, or where it has none yet, the filters that ship."""
    run = Path(context.params.get("run") or context.params.get("place") or ".")
    with suppress(MultifacetedError, OSError):
        found = read_curation(curation_folder(RunFolder(run)))
        if found is not None:
            return sorted(found.reasons)
    from multifaceted.curation.recipe import FilterTable  # noqa: PLC0415 - filters take time to import

    return sorted(FilterTable.model_fields)


def curate(
    run: Run,
    *,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A curation recipe; without one, every filter runs.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write instead of into the run, to try a recipe.")
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            "--show",
            help="Show rows with this reason; without --recipe, nothing is run.",
            autocompletion=list_reasons,
        ),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many rows to show.")] = 5,
    retry: Annotated[
        bool, typer.Option("--retry", help="Ask the judges again about rows that they gave no score.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at every row of a whole run, and write down which are kept. No row is changed or deleted.

    `build` leaves out what is dropped. Running it again replaces the record, and sends no request that was
    sent before.

    Example: `multifaceted curate run --recipe curate.yaml`
    """
    from multifaceted.curation.recipe import load_curation  # noqa: PLC0415 - filters take time to import
    from multifaceted.curation.run import curate_run  # noqa: PLC0415

    place = out or curation_folder(RunFolder(run))
    found = read_curation(place) if reason and recipe is None else None
    if found is None:
        watch = partial(progress.watch, as_json=False)
        found = curate_run(run, load_curation(recipe), out, watch=watch, retry=retry)
    if reason:
        _show_rows(run, place, found, reason, limit=limit, as_json=as_json)
    elif as_json:
        show.data({"folder": str(place), **found.model_dump(mode="json")})
    else:
        _report(run, place, found, is_trial=out is not None)


def _report(run: Path, place: Path, found: CurationData, *, is_trial: bool) -> None:
    show.text(f"{found.kept + found.dropped:,} rows = {found.kept:,} kept + {found.dropped:,} dropped")
    rows = [[name, count, "dropped"] for name, count in found.reasons.items()]
    rows += [[name, count, "noted"] for name, count in found.notes.items()]
    if rows:
        show.table("a row may have several reasons", ["reason", "rows", ""], rows)
        show.advise(f"look at some: multifaceted curate {run} --show {rows[0][0]}")
    total = found.kept + found.dropped
    for name, count in found.reasons.items():
        if count > total * SUSPICIOUS and name in found.filters:
            show.text(
                f"{name} drops {count / total:.0%} of all rows: if it does not fit them, "
                f"a recipe (--recipe) with `filters: {{{name}: false}}` switches it off"
            )
    if found.judges:
        _report_judges(found.judges)
    show.text(f"the record: {place}")
    if not is_trial:
        show.advise(f"next: multifaceted build {run} --out DIR")


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


def _show_rows(
    run: Path, place: Path, found: CurationData, reason: str, *, limit: int, as_json: bool
) -> None:
    from multifaceted.curation.sample import read_examples  # noqa: PLC0415 - as above

    total = found.reasons.get(reason, 0) + found.notes.get(reason, 0)
    if not total:
        given = [*found.reasons, *found.notes]
        message = f"no row was found with {reason!r}{suggest(reason, given)}"
        raise InputError([Problem("--show", 0, message)])
    examples = read_examples(run, place, reason, limit)
    if as_json:
        show.data([asdict(example) for example in examples])
        return
    for example in examples:
        _show_example(example)
    show.text(f"\n{len(examples):,} of {total:,} rows with {reason}")
    show.advise(f"the whole story of one: multifaceted why {run} ROW")


def _show_example(example: "Example") -> None:
    show.rule(f"{example.id}  {example.verdict}")
    for finding in example.findings:
        show.text(describe_finding(finding))
    for name, text in example.texts.items():
        show.text(f"[{name}] {shorten(text)}")


def describe_finding(finding: dict[str, Any]) -> str:
    """One finding in a line: `near_duplicate_system: 0.83 like i3-v2`."""
    said = [
        f"{finding['score']:.2f}" if finding["score"] is not None and not finding["detail"] else "",
        f"like {finding['partner']}" if finding["partner"] else "",
        finding["detail"] or "",
    ]
    words = " ".join(word for word in said if word)
    noted = " (noted, not dropped)" if finding["action"] == "note" else ""
    return f"{finding['reason']}{': ' if words else ''}{words}{noted}"


def shorten(text: str) -> str:
    """The beginning and the end of a long text."""
    half = MAX_SHOWN // 2
    return text if len(text) <= MAX_SHOWN else f"{text[:half]} […] {text[-half:]}"
