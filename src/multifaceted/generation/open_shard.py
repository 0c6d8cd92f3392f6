"""A shard at work: locked, its journal open, its rows on their way into a file.

Example:
    shard = open_shard(folder, work, planned=2000, model=Row)
    shard.add(made)                      # in order
    summary = shard.finish()             # or shard.abandon()
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from multifaceted.errors import StorageError
from multifaceted.generation.work import ShardWork
from multifaceted.ids import hash_file
from multifaceted.journal import Journal, OtherJournals
from multifaceted.records import Failure, Row
from multifaceted.store.open_rows import OpenRowsWriter
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.shards import create_shard, read_rows
from multifaceted.store.table_file import TableWriter


@dataclass
class OpenShard:
    """Rows come in by `add`; those that stay as they were come out of `take_kept`."""

    folder: RunFolder
    work: ShardWork
    planned: int
    journal: Journal
    writer: TableWriter
    shown: OpenRowsWriter
    resources: ExitStack
    kept_rows: Iterator[Row]
    kept_failures: dict[str, Failure]
    failures: list[Failure] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return the shard's name."""
        return self.work.shard.name

    @property
    def complete(self) -> bool:
        """Return whether every planned row is there."""
        return self.writer.rows + len(self.failures) == self.planned

    def is_wanted(self, row_id: str) -> bool:
        """Return whether a row is to be made, and not kept."""
        return self.work.rows is None or row_id in self.work.rows

    def take_kept(self, row_id: str) -> Row | Failure:
        """Return what stays of a row that is not wanted; rows are taken in order.

        Raises:
            StorageError: where the shard on disk has fewer than it said.
        """
        row = self.kept_failures.get(row_id) or next(self.kept_rows, None)
        if row is None:
            raise StorageError(f"{self.folder.rows_file(self.name)} holds fewer rows than it should")
        return row

    def add(self, made: Row | Failure) -> None:
        """Append one finished row."""
        # Of a row that is kept as it was, readers know from the finished shard, until that is replaced.
        self.shown.note(self.writer.rows + len(self.failures), made)
        if isinstance(made, Row):
            self.writer.add(**made.model_dump())
        else:
            self.failures.append(made)

    def finish(self) -> ShardSummary:
        """Write what the shard came to, the mark last, and let it go."""
        with self.resources:
            self.folder.reopen(self.name)
            self.writer.commit()
            self.folder.write_failures(self.name, self.failures)
            summary = ShardSummary(
                name=self.name,
                fingerprint=self.work.fingerprint,
                planned=self.planned,
                ok=self.writer.rows,
                failed=len(self.failures),
                retryable=sum(failure.retryable for failure in self.failures),
                failures=dict(sorted(Counter(failure.kind for failure in self.failures).items())),
                sha256=hash_file(self.folder.rows_file(self.name)),
            )
            self.folder.finish(summary)
            self.shown.remove()
        return summary

    def abandon(self) -> None:
        """Let an unfinished shard go. What its rows came to so far can still be seen."""
        self.resources.close()


def open_shard(
    folder: RunFolder, work: ShardWork, *, planned: int, model: type[Row], others: OtherJournals | None = None
) -> OpenShard:
    """Lock a shard of so many planned rows, and open its files; `others` hold replies of rows that moved.

    Raises:
        LockedError: where another process works on it.
        StorageError: where its files cannot be opened.
    """
    name = work.shard.name
    with ExitStack() as stack:
        stack.enter_context(folder.lock(name))
        journal = stack.enter_context(Journal(folder.journal_file(name), others=others))
        shown = stack.enter_context(show_rows(folder, work, planned=planned, model=model))
        writer = stack.enter_context(create_shard(folder.rows_file(name), model))
        keeps = work.rows is not None
        failures = {f.id: f for f in folder.read_failures(name)} if keeps else {}
        rows = read_rows(folder.rows_file(name), model) if keeps else iter(())
        return OpenShard(folder, work, planned, journal, writer, shown, stack.pop_all(), rows, failures)


def show_rows(folder: RunFolder, work: ShardWork, *, planned: int, model: type[Row]) -> OpenRowsWriter:
    """Open the file that lets readers see finished rows of a shard, which must be held.

    Raises:
        StorageError: where it cannot be opened.
    """
    name = work.shard.name
    whole = folder.finished(name)
    if work.rows is None and whole is not None and whole.fingerprint == work.fingerprint:
        folder.reopen(name)  # it is damaged, and says of itself that it is finished
    return OpenRowsWriter(folder.open_file(name), fingerprint=work.fingerprint, planned=planned, model=model)
