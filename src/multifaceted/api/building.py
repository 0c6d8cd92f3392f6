"""`build` and `check`: a folder that `load_dataset` opens, and every fault of one."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from multifaceted import pipeline
from multifaceted.api.built import BuiltFolder
from multifaceted.api.runs import Run, to_path
from multifaceted.building.check import check_folder
from multifaceted.building.folder import build_folder
from multifaceted.errors import InputError, StorageError
from multifaceted.planning import compile_plan
from multifaceted.store.built_folder import BuiltManifest, FileFormat, read_built_manifest
from multifaceted.store.manifest import read_layout, read_recipe_file
from multifaceted.store.run_folder import RunFolder


@dataclass(frozen=True, repr=False)
class Checked:
    """What `check` found."""

    path: Path
    faults: list[str] = field(default_factory=list)
    built: BuiltManifest | None = None  # of a built folder without a fault
    recipe: str = ""  # of a run with faults: with which it is made good

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.faults

    def __repr__(self) -> str:
        if self.ok:
            return f"<{self.path}: nothing is wrong>"
        return "\n".join([f"<{self.path}: {len(self.faults):,} faults>", *self.faults])


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
