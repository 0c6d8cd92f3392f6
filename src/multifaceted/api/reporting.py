"""`report` and `diff`: looking at a dataset, and at what changed between two."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from multifaceted.api.built import BuiltFolder
from multifaceted.api.runs import Run
from multifaceted.reporting.compare import FolderDiff, compare_folders
from multifaceted.reporting.page import PAGE, write_report
from multifaceted.reporting.statistics import Statistics
from multifaceted.reporting.taxonomy import find_taxonomy
from multifaceted.taxonomy import Taxonomy, load_taxonomy


@dataclass(frozen=True, repr=False)
class Reported:
    """A report: a page, its figures, and the numbers."""

    page: Path
    statistics: Statistics

    def __repr__(self) -> str:
        return f"<report {self.page.resolve().as_uri()}: {self.statistics.kept:,} rows>"


def report(
    source: str | Path | Run | BuiltFolder,
    out: str | Path,
    *,
    rows: int = 300,
    taxonomy: str | Path | Taxonomy | None = None,
    curation: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> Reported:
    """Write a page with figures, numbers and a browser over rows. It needs no network.

    Args:
        source: a run, at work or done, or a built folder.
        out: where to write; files of others there stay.
        rows: about how many rows the page shows; the numbers are of all.
        taxonomy: where it is not that of the run's recipe.
        curation: leave out the rows that the run's curation drops, where it has one.
        tell: called with what is being done.

    Raises:
        SetupError: where the extra `report` is not installed.
        StorageError: where there are no rows, or something else is in the way.
    """
    folder = Path(source)
    if taxonomy is None:
        found = find_taxonomy(folder)
    else:
        found = taxonomy if isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
    statistics = write_report(folder, Path(out), taxonomy=found, rows=rows, curated=curation, tell=tell)
    return Reported(Path(out) / PAGE, statistics)


def diff(old: str | Path | BuiltFolder, new: str | Path | BuiltFolder) -> FolderDiff:
    """Compare two built folders: which rows were added, removed and changed, by config and field.

    Raises:
        StorageError: where one of them is not a built folder, or cannot be read.
    """
    return compare_folders(Path(old), Path(new))
