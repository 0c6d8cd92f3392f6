"""`build`, `check`, `export`, `report` and `diff`: folders made of a run, and what is wrong with them."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from multifaceted import pipeline
from multifaceted.api.runs import Run, to_path
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import InputError, StorageError
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.write import WrittenView, write_view
from multifaceted.planning import compile_plan
from multifaceted.reporting.compare import FolderDiff, compare_folders
from multifaceted.reporting.taxonomy import find_taxonomy
from multifaceted.store.built_folder import BuiltManifest, FileFormat, read_built_manifest
from multifaceted.store.manifest import read_layout, read_recipe_file
from multifaceted.store.run_folder import RunFolder
from multifaceted.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from multifaceted.reporting.statistics import Statistics


@dataclass(frozen=True, repr=False)
class BuiltFolder:
    """A folder that `load_dataset` opens."""

    path: Path
    manifest: BuiltManifest
    notice: str = ""  # what to say of a recipe that has changed since the run

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each config has."""
        return {config.name: config.rows for config in self.manifest.configs}

    @property
    def digest(self) -> str:
        """Names the content: equal digests, equal rows."""
        return self.manifest.digest

    def load(self, config: str | None = None, split: str | None = None) -> "Dataset | DatasetDict":
        """Load a config with `datasets`, as anybody would: `load_dataset(path, config, split=split)`."""
        from datasets import load_dataset  # noqa: PLC0415 - takes a second

        return load_dataset(str(self.path.resolve()), config, split=split)

    def __repr__(self) -> str:
        rows = ", ".join(f"{name} {rows:,}" for name, rows in self.rows.items())
        partial = f"; partial: {self.manifest.made}" if self.manifest.pending else ""
        return f"<built folder {self.path}: {rows}{partial}>"


@dataclass(frozen=True, repr=False)
class Checked:
    """What `check` found."""

    path: Path
    faults: list[str] = field(default_factory=list)
    built: BuiltManifest | None = None  # of a built folder without a fault
    recipe: str = ""  # of a run with faults: with which it is made good

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def __repr__(self) -> str:
        if self.ok:
            return f"<{self.path}: nothing is wrong>"
        return "\n".join([f"<{self.path}: {len(self.faults):,} faults>", *self.faults])


@dataclass(frozen=True, repr=False)
class Exported:
    """What a trainer loads."""

    path: Path
    written: WrittenView

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {rows:,}" for split, rows in self.written.rows.items())
        return f"<{self.path}: {rows}; train there with: {self.written.command}>"


@dataclass(frozen=True, repr=False)
class Reported:
    """A report: a page, its figures, and the numbers."""

    page: Path
    statistics: "Statistics"

    def __repr__(self) -> str:
        return f"<report {self.page.resolve().as_uri()}: {self.statistics.kept:,} rows>"


def build(
    run: str | Path | Run,
    out: str | Path,
    *,
    file_format: FileFormat = "arrow",
    card: str | Path | None = None,
    curation: bool = True,
    partial: bool = False,
) -> BuiltFolder:
    """Build a folder that `load_dataset` opens.

    Args:
        run: the run folder.
        out: where to build; files of others there stay.
        file_format: of the published shards.
        card: your template of the dataset card.
        curation: leave out the rows that the run's curation drops, where it has one.
        partial: of an unfinished run, take the rows that are done.

    Raises:
        InputError: where the template of the card is wrong.
        StorageError: where the run is not finished or damaged, or something else is in the way.
    """
    notice = find_changed_recipe(to_path(run))
    manifest = build_folder(
        to_path(run),
        Path(out),
        file_format=file_format,
        card=Path(card) if card else None,
        curated=curation,
        partial=partial,
    )
    return BuiltFolder(Path(out), manifest, notice)


def check(folder: str | Path | Run | BuiltFolder) -> Checked:
    """Check a built folder or a run: checksums, rows, schema, ids, card, and that `datasets` loads it."""
    path = Path(folder)
    faults = check_folder(path)
    if not faults:
        return Checked(path, built=read_built_manifest(path))
    return Checked(path, faults, recipe=_name_recipe(path) if (path / "shards").is_dir() else "")


def export(source: str | Path | Run | BuiltFolder, out: str | Path, *, trainer: str, task: Task) -> Exported:
    """Write what a trainer loads with no further code, and a training configuration beside it.

    Args:
        source: a finished run, or a built folder.
        out: the folder to make.
        trainer: `trl`, `axolotl` or `openrlhf`.
        task: `sft`, `dpo`, `orpo` or `rm`.

    Raises:
        InputError: where the trainer cannot do the task.
        StorageError: where the source is not finished or damaged, or something else is in the way.
    """
    return Exported(Path(out), write_view(Path(source), Path(out), trainer=trainer, task=task))


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
    from multifaceted.reporting.page import PAGE, write_report  # noqa: PLC0415 - Jinja, which others spare

    place = Path(source)
    if taxonomy is None:
        found = find_taxonomy(place)
    else:
        found = taxonomy if isinstance(taxonomy, Taxonomy) else load_taxonomy(taxonomy)
    statistics = write_report(place, Path(out), taxonomy=found, rows=rows, curated=curation, tell=tell)
    return Reported(Path(out) / PAGE, statistics)


def diff(old: str | Path | BuiltFolder, new: str | Path | BuiltFolder) -> FolderDiff:
    """Compare two built folders: which rows were added, removed and changed, by config and field.

    Raises:
        StorageError: where one of them is not a built folder, or cannot be read.
    """
    return compare_folders(Path(old), Path(new))


def find_changed_recipe(run: Path) -> str:
    """Return what to say of a recipe that has changed since the run; empty where it has not, or is gone."""
    folder = RunFolder(run)
    try:
        recipe = read_recipe_file(folder)
        if not recipe.is_file():
            return ""
        plan = compile_plan(recipe, instructions_per_shard=read_layout(folder))
        changes = pipeline.find_changes(plan, run)
    except StorageError:
        return ""  # whatever is wrong with the run, building tells
    except InputError as error:
        return f"whether {recipe} has changed since the run cannot be told: {error.problems[0]}"
    if not changes:
        return ""
    again = shlex.join(["multifaceted", "plan", str(recipe), "--run", str(run)])
    return f"{recipe} has changed since the run ({'; '.join(changes)}); see what it would ask: {again}"


def _name_recipe(run: Path) -> str:
    """Return where the recipe of a run is, as far as the run can tell."""
    try:
        return str(read_recipe_file(RunFolder(run)))
    except StorageError:
        return "RECIPE"
