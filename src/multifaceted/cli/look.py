"""`status` and `failures`: what has become of a run."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import multifaceted as mf
from multifaceted.cli.options import Json, Kinds, Run
from multifaceted.terminal import show

if TYPE_CHECKING:
    from multifaceted.api.run_parts import FailedRow
    from multifaceted.store.status import RunStatus

SHOWN = 20  # failures in a table; --json has them all
MAX_SHOWN = 160  # characters of a message in a table


def status(run: Run, as_json: Json = False) -> None:
    """Show the progress of a run, its failures, requests and cost.

    Example: `multifaceted status run --json`
    """
    found = mf.open_run(run).status
    if as_json:
        show.data(asdict(found))
        return
    state, shards = "finished" if found.finished else "not finished", found.shards
    show.text(f"{found.name}: {state}, {shards['finished']:,} of {shards['planned']:,} shards finished")
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
        _show_curation(found.curation)
    _show_spent(found)


def _show_curation(found: dict[str, Any]) -> None:
    show.text(f"curation: {found['kept']:,} rows kept, {found['dropped']:,} dropped")
    if found["reasons"]:
        rows = [[reason, count] for reason, count in found["reasons"].items()]
        show.table("dropped rows; one may have several reasons", ["reason", "rows"], rows)
    if found["stale"]:
        show.text(f"it is stale, {found['stale']}; again with: {found['again']}")


def _show_spent(found: "RunStatus") -> None:
    columns = ["stage", "model", "mode", "replies", "prompt", "cached", "reply", "reasoning", "USD"]
    names = ["stage", "model", "mode", "replies", "prompt_tokens", "cached_tokens", "completion_tokens"]
    rows: list[list[Any]] = [
        [*(part[name] for name in names), part["reasoning_tokens"], _usd_of(part)] for part in found.spent
    ]
    title = "spent: replies and tokens, each reply counted once"
    show.table(title, columns, rows, optional=("cached", "reasoning", "USD"))
    show.text(f"in all: {found.cost}")


def _usd_of(part: dict[str, Any]) -> str:
    return "unknown" if part["unpriced"] == part["replies"] else f"{part['usd']:,.4f}"


def failures(run: Run, kind: Kinds = None, as_json: Json = False) -> None:
    """List the rows that failed, and why. With `--json`, each with its raw reply.

    Example: `multifaceted failures run --kind truncated`
    """
    made = mf.Run(run)
    found = made.list_failures(kind or ())
    if as_json:
        for row, reply in zip(found, found.read_replies(), strict=True):
            show.line({**row.as_dict(), "reply": reply})
        return
    if not found:
        show.text("no row failed" if not kind else f"no row failed with {', '.join(kind)}")
        return
    show.table("", ["row", "kind", "stage", "retryable", "why"], [_line_of(row) for row in found[:SHOWN]])
    if len(found) > SHOWN:
        show.text(f"and {len(found) - SHOWN:,} more; --json lists them all, with their raw replies")
    total = f"{len(found):,} failed rows"
    if not made.finished:
        show.text(f"{total} so far; finish the run with `multifaceted generate`, then ask again")
        return
    show.advise(f"{total}; ask again with: multifaceted retry {run}")


def _line_of(row: "FailedRow") -> list[object]:
    words = " ".join(row.message.split())
    shown = words if len(words) <= MAX_SHOWN else f"{words[:MAX_SHOWN]}…"
    return [row.id, row.kind, row.failure.stage, "yes" if row.failure.retryable else "no", shown]
