"""`curate`: which rows of a run are kept, and why."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from multifaceted.api.blocking import Session
from multifaceted.api.runs import Run, to_path
from multifaceted.curation.frame import list_shipped
from multifaceted.curation.recipe import load_curation
from multifaceted.curation.run import curate_run
from multifaceted.curation.sample import Example, read_examples
from multifaceted.errors import InputError, Problem
from multifaceted.store.curation import CurationData, curation_folder
from multifaceted.store.manifest import read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.terminal.progress import Progress
from multifaceted.yamlfile import suggest


@dataclass(frozen=True, repr=False)
class Curated:
    """The record of a curation: which rows are kept, and why others are not."""

    run: Path
    path: Path  # of the record
    data: CurationData

    @property
    def kept(self) -> int:
        """Return how many rows are kept."""
        return self.data.kept

    @property
    def dropped(self) -> int:
        """Return how many rows are dropped."""
        return self.data.dropped

    @property
    def reasons(self) -> dict[str, int]:
        """Return why rows were dropped, and how many; a row may have several reasons."""
        return dict(self.data.reasons)

    @property
    def stale(self) -> str:
        """Return why it no longer speaks of the rows of the run; empty where it does."""
        return self.data.find_fault(read_manifest(RunFolder(self.run)))

    def examples(self, reason: str, limit: int = 5) -> list[Example]:
        """Return some rows with a reason, to judge by eye whether it is just.

        Raises:
            InputError: where no row has it.
        """
        given = [*self.data.reasons, *self.data.notes]
        if reason not in given:
            message = f"no row was found with {reason!r}{suggest(reason, given)}"
            raise InputError([Problem("--show", 0, message)])
        return read_examples(self.run, self.path, reason, limit)

    def __repr__(self) -> str:
        reasons = ", ".join(f"{name} {rows:,}" for name, rows in self.reasons.items())
        dropped = f"{self.dropped:,} dropped" + (f" ({reasons})" if reasons else "")
        return f"<curation of {self.run}: {self.kept:,} kept, {dropped}>"


def curate(
    run: str | Path | Run,
    recipe: str | Path | None = None,
    *,
    out: str | Path | None = None,
    retry: bool = False,
    progress: Progress | None = None,
) -> Curated:
    """Look at every row of a finished run, and write down which are kept. No row is changed or deleted.

    `build` leaves out what is dropped. Curating again replaces the record, and sends no request twice.

    Args:
        run: the run folder.
        recipe: a curation recipe; None runs every filter.
        out: where to write instead of into the run, to try a recipe.
        retry: ask questions and judges again about rows that they said nothing of.
        progress: of models that are asked; as in `generate`.

    Raises:
        InputError: with every problem of the recipe.
        StorageError: where the run is not finished.
        MultifacetedError: what stopped the models that are asked; what they said is kept, and paid for once.
    """
    folder, session = to_path(run), Session(progress)
    record = Path(out) if out else curation_folder(RunFolder(folder))
    work = partial(
        curate_run,
        folder,
        load_curation(Path(recipe) if recipe else None),
        record,
        watch=session.watch,
        retry=retry,
    )
    return Curated(folder, record, session.call(work))


def list_filters() -> list[str]:
    """Return the names of the filters that ship, in order; those of pairs last."""
    return list(list_shipped())
