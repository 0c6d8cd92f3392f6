"""`status` and `failures`: what has become of a run."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from multifaceted.cli import show
from multifaceted.cli.plan import Json
from multifaceted.errors import FailureKind, InputError, Problem
from multifaceted.journal import read_bodies
from multifaceted.records import Failure
from multifaceted.store.curation import curate_again
from multifaceted.store.manifest import read_manifest, read_run
from multifaceted.store.present import read_present_failures
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import RunStatus, read_status
from multifaceted.yamlfile import suggest

Run = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")]
Moved = Annotated[Path | None, typer.Option("--recipe", help="Where the recipe is now, if it was moved.")]
FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="Only failures of this kind; may be repeated.",
        autocompletion=lambda: list(FAILURE_KINDS),
    ),
]
SHOWN = 20  # failures in a table; --json has them all
MAX_SHOWN = 160  # characters of a message in a table


def status(run: Run, as_json: Json = False) -> None:
    """Show how far a run is, what failed, what was asked and what it cost.

    Example: `multifaceted status run --json`
    """
    found = read_status(RunFolder(run))
    if as_json:
        show.data(asdict(found))
        return
    state, shards = "whole" if found.finished else "not finished", found.shards
    show.text(f"{found.name}: {state}, {shards['whole']:,} of {shards['planned']:,} shards whole")
    show.table("", list(found.rows), [list(found.rows.values())])
    if found.open_rows:
        word = "shard" if shards["open"] == 1 else "shards"
        show.text(f"{found.open_rows:,} of these rows lie in {shards['open']:,} open {word}")
        show.advise(f"look at them: multifaceted rows {run}")
    if found.batches:
        lines = [[state, counts["batches"], counts["requests"]] for state, counts in found.batches.items()]
        show.table("batches", ["state", "batches", "requests"], lines)
    if found.failures:
        show.table("failed rows", ["kind", "rows"], [[kind, rows] for kind, rows in found.failures.items()])
        show.advise(f"why: multifaceted failures {run}")
    for batch in found.waiting:
        show.text(f"batch {batch['batch_id']} waits for its results: {batch['waits_for']}")
    if found.curation:
        _show_curation(run, found.curation)
    _show_spent(found)


def _show_curation(run: Path, found: dict[str, Any]) -> None:
    show.text(f"curation: {found['kept']:,} rows kept, {found['dropped']:,} dropped")
    if found["reasons"]:
        rows = [[reason, count] for reason, count in found["reasons"].items()]
        show.table("dropped rows; one may have several reasons", ["reason", "rows"], rows)
    if found["stale"]:
        show.text(f"it is stale, {found['stale']}; again with: {curate_again(RunFolder(run))}")


def _show_spent(found: RunStatus) -> None:
    columns = ["stage", "model", "mode", "replies", "prompt", "cached", "reply", "reasoning", "USD"]
    names = ["stage", "model", "mode", "replies", "prompt_tokens", "cached_tokens", "completion_tokens"]
    rows: list[list[Any]] = [
        [*(part[name] for name in names), part["reasoning_tokens"], _usd_of(part)] for part in found.spent
    ]
    title = "spent: replies and tokens, each reply counted once"
    show.table(title, columns, rows, optional=("cached", "reasoning", "USD"))
    total = found.requests["total"]
    if found.unpriced == total:
        show.text(f"in all: {total:,} replies{' of unknown price' if total else ''}")
        return
    unknown = f", and {found.unpriced:,} replies of unknown price" if found.unpriced else ""
    show.text(f"in all: {total:,} replies, {found.usd:,.4f} USD{unknown}")


def _usd_of(part: dict[str, Any]) -> str:
    return "unknown" if part["unpriced"] == part["replies"] else f"{part['usd']:,.4f}"


def failures(run: Run, kind: Kinds = None, as_json: Json = False) -> None:
    """List the rows that did not come about, and why. With `--json`, each with its raw reply.

    Example: `multifaceted failures run --kind truncated`
    """
    folder = RunFolder(run)
    kinds = read_kinds(kind) or FAILURE_KINDS
    present = read_present_failures(folder, read_run(folder))
    found = {name: [f for f in failures if f.kind in kinds] for name, failures in present.items()}
    total = sum(len(records) for records in found.values())
    if as_json:
        for name, records in found.items():
            bodies = read_bodies(folder.journal_file(name), [record.request_key for record in records])
            for record in records:
                show.line({**asdict(record), "shard": name, "reply": bodies.get(record.request_key)})
        return
    if not total:
        show.text("no row failed" if not kind else f"no row failed with {', '.join(kind)}")
        return
    records = [record for part in found.values() for record in part]
    show.table("", ["row", "kind", "stage", "retryable", "why"], [_row_of(r) for r in records[:SHOWN]])
    if total > SHOWN:
        show.text(f"and {total - SHOWN:,} more; --json lists them all, with their raw replies")
    if read_manifest(folder) is None:
        show.text(
            f"{total:,} failed rows so far; finish the run with `multifaceted generate`, then ask again"
        )
        return
    show.advise(f"{total:,} failed rows; ask again with: multifaceted retry {run}")


def read_kinds(given: list[str] | None) -> tuple[FailureKind, ...]:
    """The failure kinds that were named.

    Raises:
        InputError: where there is no such kind.
    """
    unknown = [name for name in given or () if name not in FAILURE_KINDS]
    if unknown:
        raise InputError(
            Problem("--kind", 0, f"{name!r} is no kind of failure{suggest(name, list(FAILURE_KINDS))}")
            for name in unknown
        )
    return tuple(kind for kind in FAILURE_KINDS if kind in (given or ()))


def _row_of(record: Failure) -> list[object]:
    words = " ".join(record.message.split())
    shown = words if len(words) <= MAX_SHOWN else f"{words[:MAX_SHOWN]}…"
    return [record.id, record.kind, record.stage, "yes" if record.retryable else "no", shown]
