"""What is left to do of a shard: `find_work(folder, shard, fingerprint, kinds=None)`.

A shard that was never finished is made as a whole, its replies coming from the journal as far as they are
there. Of a finished one only the failed rows that are worth it are made again; the others stay as they are.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from multifaceted.chat.access_fingerprint import fingerprint_access
from multifaceted.errors import FailureKind
from multifaceted.journal import set_aside
from multifaceted.models import Models
from multifaceted.planning import Shard
from multifaceted.records import Failure
from multifaceted.store.moved_replies import MovedReplies
from multifaceted.store.run_folder import RunFolder, ShardSummary


@dataclass(frozen=True)
class ShardWork:
    """A shard to make, the fingerprint it will carry, and which of its rows; None means all."""

    shard: Shard
    fingerprint: str
    rows: frozenset[str] | None = None


def find_whole(folder: RunFolder, shard: Shard, fingerprint: str) -> ShardSummary | None:
    """Return the summary of a shard that is finished and is what the plan asks for."""
    summary = folder.finished(shard.name)
    return summary if summary is not None and summary.fingerprint == fingerprint else None


def find_work(
    folder: RunFolder,
    shard: Shard,
    fingerprint: str,
    *,
    models: Models,
    kinds: Collection[FailureKind] | None = None,
) -> ShardWork | None:
    """Return what running again could change of a shard; None where nothing.

    With `kinds` only failures of these kinds count, and nothing of a shard that was never finished.
    """
    summary = find_whole(folder, shard, fingerprint)
    if summary is None or folder.verify([summary]):
        return ShardWork(shard, fingerprint) if kinds is None else None
    if not summary.failed:
        return None
    rows = frozenset(
        failure.id
        for failure in folder.read_failures(shard.name)
        if (kinds is None or failure.kind in kinds) and _is_worth_asking(failure, models)
    )
    return ShardWork(shard, fingerprint, rows) if rows else None


def order_again(
    folder: RunFolder, shard: Shard, kinds: Collection[FailureKind], *, moved: MovedReplies
) -> None:
    """Let failed rows of some kinds be asked for again, though nothing has changed.

    Their replies are set aside in the journal, and only then their failures are marked as retryable. Whoever
    is killed in between orders again; what is marked already has been ordered, and may be paid for by now.
    """
    with folder.lock(shard.name):
        summary, failures = folder.finished(shard.name), folder.read_failures(shard.name)
        ordered = {f.id for f in failures if f.kind in kinds and not f.retryable}
        if summary is None or not ordered:
            return
        keys = [failure.request_key for failure in failures if failure.id in ordered]
        # A row that moved here left the originals behind, and may move back to them.
        for file in {file for key in keys for file in moved.list_files(key)}:
            set_aside(file, keys)
        marked = [replace(f, retryable=True) if f.id in ordered else f for f in failures]
        folder.reopen_run()
        folder.write_failures(shard.name, marked)
        folder.finish(summary.model_copy(update={"retryable": sum(f.retryable for f in marked)}))


def _is_worth_asking(failure: Failure, models: Models) -> bool:
    if failure.asked_with and failure.stage in models:  # mended since, perhaps
        return failure.retryable or failure.asked_with != fingerprint_access(models[failure.stage])
    if failure.cut_at is None:
        return failure.retryable
    allowed = models[failure.stage].max_tokens
    return failure.retryable or allowed is None or allowed > failure.cut_at
