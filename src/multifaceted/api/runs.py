"""A run folder as an object: `open_run("run").rows()`."""

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from multifaceted.api.blocking import Session
from multifaceted.api.run_parts import FailedRow, Failures, RowList, Spent, read_kinds
from multifaceted.building.source import RunSource
from multifaceted.building.source import open_run as open_source
from multifaceted.errors import FAILURE_KINDS
from multifaceted.records import Tally
from multifaceted.store.curation import curation_folder, read_curation
from multifaceted.store.manifest import RunData, read_manifest, read_recipe_file, read_run
from multifaceted.store.present import read_present_failures
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published
from multifaceted.store.status import RunStatus, read_status

if TYPE_CHECKING:
    from datasets import Dataset

    from multifaceted.api.curating import Curated
    from multifaceted.why.story import Story


class Run:
    """A run folder, at work or done. What it tells is read anew each time.

    Attributes:
        path: of the folder.
        tally: counts of the start that returned this; None for a run that was opened.
        data: what that start left finished; None for a run that was opened.
    """

    def __init__(self, path: Path, tally: Tally | None = None, data: RunData | None = None) -> None:
        self.path = path
        self.tally = tally
        self.data = data

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<run {self.path}: {repr(self.status)[1:-1]}>"

    @property
    def status(self) -> RunStatus:
        """Return its progress, failures, requests and cost."""
        return read_status(RunFolder(self.path))

    @property
    def finished(self) -> bool:
        """Return whether all of its rows are made, ok or failed."""
        return read_manifest(RunFolder(self.path)) is not None

    @property
    def recipe_file(self) -> Path:
        """Return where its recipe lay when it was last started."""
        return read_recipe_file(RunFolder(self.path))

    @property
    def failures(self) -> Failures:
        """Return the rows that failed so far, in order."""
        return self.list_failures()

    def list_failures(self, kinds: Collection[str] = ()) -> Failures:
        """Return the rows that failed so far, of some kinds or of all.

        Raises:
            InputError: where there is no such kind.
        """
        wanted, folder = read_kinds(kinds) or FAILURE_KINDS, RunFolder(self.path)
        present = read_present_failures(folder, read_run(folder))
        return Failures(
            FailedRow(failure, shard, self.path)
            for shard, found in present.items()
            for failure in found
            if failure.kind in wanted
        )

    @property
    def curation(self) -> "Curated | None":
        """Return the record of its last curation; None where it was never curated."""
        return self.read_curation()

    def read_curation(self, out: str | Path | None = None) -> "Curated | None":
        """Return the record that `curate` wrote into the run, or elsewhere; None where there is none."""
        from multifaceted.api.curating import Curated  # noqa: PLC0415 - it imports this

        record = Path(out) if out else curation_folder(RunFolder(self.path))
        found = read_curation(record)
        return Curated(self.path, record, found) if found else None

    @property
    def spent(self) -> Spent:
        """Return what was paid for so far."""
        status = self.status
        return Spent(
            replies=status.requests["total"],
            prompt_tokens=status.tokens["prompt"],
            completion_tokens=status.tokens["completion"],
            usd=status.usd,
            unpriced=status.unpriced,
            parts=status.spent,
            words=status.cost,
        )

    def rows(self, *, curated: bool = False) -> "Dataset":
        """Return the finished rows so far, as they are on disk: memory-mapped, with all their columns.

        Args:
            curated: leave out what the run's curation drops, where it has one.

        Raises:
            StorageError: where a file is damaged, or the curation is of other rows.
        """
        from datasets import Dataset, concatenate_datasets  # noqa: PLC0415 - takes a second

        source = self._open(curated=curated)
        # Copies of open shards are gone with `source`: their rows are held in memory.
        copies = set(source.open.paths.values())
        parts = [
            Dataset(pa.Table.from_batches(list(read_published(path))))
            if path in copies
            else Dataset.from_file(str(path))
            for path in source.files
        ]
        found = concatenate_datasets(parts) if parts else Dataset.from_dict({})
        if source.kept is None:
            return found
        return found.select([index for index, kept in enumerate(source.kept.to_pylist()) if kept])

    def to_polars(self, *, curated: bool = False) -> pl.DataFrame:
        """Return the same rows as a Polars data frame."""
        batches = list(self._open(curated=curated).read_rows())
        return (
            pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in batches])
            if batches
            else pl.DataFrame()
        )

    def why(self, row_id: str, *, recipe: str | Path | None = None) -> "Story":
        """Tell the whole story of one row: instruction, prompts, replies, outcome, verdict.

        Args:
            row_id: such as `rainbow-v1`; of a row that is done, failed, or not done yet.
            recipe: where the recipe is now, if it was moved.

        Raises:
            InputError: where no row has the id.
        """
        from multifaceted.why.story import tell_story  # noqa: PLC0415 - it renders prompts, which takes more imports

        story = partial(tell_story, self.path, row_id, recipe=Path(recipe) if recipe else None)
        return Session(progress=False).call(story)

    def preview(self, rows: int = 1) -> RowList:
        """Return the first finished rows, to read."""
        found = RowList()
        for batch in self._open(curated=False).read_rows():
            found.extend(batch.slice(0, rows - len(found)).to_pylist())
            if len(found) >= rows:
                break
        return found

    def _open(self, *, curated: bool) -> RunSource:
        return open_source(self.path, curated=curated, whole=False, verified=False)


def open_run(path: str | Path) -> Run:
    """Open a run folder, at work or done.

    Raises:
        StorageError: where no run was ever started there.
    """
    read_run(RunFolder(Path(path)))
    return Run(Path(path))


def to_path(folder: "str | Path | Run") -> Path:
    """Return the path of a folder, however it is given."""
    return Path(folder)
