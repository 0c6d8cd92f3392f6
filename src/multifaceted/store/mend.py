"""Run folders with damaged small files: what the rest of the folder tells is written anew.

Example:
    refuse_foreign(folder)
    mend_run(folder)            # run.json, manifest.json and shard.json that cannot be read

Nothing is erased: what cannot be read is kept as `NAME.damaged`. A shard's summary is restored from the
manifest or counted from its rows, so that no row is made, and no reply paid for, a second time.
"""

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.store.manifest import RunData, read_layout, read_marker, read_run
from multifaceted.store.run_folder import MANIFEST, RunFolder, ShardSummary
from multifaceted.store.shards import read_batches

OURS = ("run.json", MANIFEST, "shards", "batches", "inputs")  # what a run writes into its folder
# How a recipe begins that was made in Python, and stands in `inputs/`.
OF_PYTHON = "# Made in Python, and written here by multifaceted: a later start may replace it.\n"

logger = logging.getLogger(__name__)


def refuse_foreign(folder: RunFolder) -> None:
    """Refuse a folder in which something of somebody stands where a run would write.

    Raises:
        StorageError: saying what it is.
    """
    if folder.path.exists() and not folder.path.is_dir():
        raise StorageError(f"{folder.path} exists and is not a folder", hint="name another folder with --run")
    if _is_run(folder):
        return
    foreign = [folder.path / name for name in OURS if os.path.lexists(folder.path / name)]
    if foreign:
        names = ", ".join(map(str, foreign))
        hint = "name another folder with --run, or move these away"
        raise StorageError(f"in the way, and not of a run: {names}", hint=hint)


def _is_run(folder: RunFolder) -> bool:
    """Return whether a run was ever started there: it has journals, or says what it was to make."""
    patterns = ("shards/*/journal.sqlite*", "shards/*/lock", "batches/*.json")
    if any(path for pattern in patterns for path in folder.path.glob(pattern)):
        return True
    recipe = folder.path / "inputs" / "recipe.yaml"
    if recipe.is_file() and recipe.read_bytes().startswith(OF_PYTHON.encode()):
        return True
    try:
        return read_layout(folder) is not None
    except StorageError:
        return False


def mend_run(folder: RunFolder) -> None:
    """Set aside the small files that cannot be read, and restore what the others tell."""
    run, manifest = _read(read_run, folder), _read(read_marker, folder)
    for path in sorted(folder.path.glob("shards/*/shard.json")):
        name = path.parent.name
        try:
            folder.finished(name)
        except StorageError as error:
            kept = keep_aside(path)
            summary = _restore(folder, name, run, manifest)
            if summary is not None:
                folder.finish(summary)
            how = "restored from its rows" if summary else "made again from its journal, without asking anew"
            logger.warning("%s; it is kept as %s, and the shard is %s", error.message, kept.name, how)
    for name, found in (("run.json", run), (MANIFEST, manifest)):
        path = folder.path / name
        if isinstance(found, StorageError) and os.path.lexists(path):
            logger.warning("%s; it is kept as %s, and written anew", found.message, keep_aside(path).name)


def keep_aside(path: Path) -> Path:
    """Rename a file that cannot be read, whatever it is; gives its new name."""
    return path.rename(_name_aside(path))


def copy_aside(path: Path) -> Path:
    """Keep a file that cannot be read under a second name; what is not a file is renamed."""
    if not path.is_file():
        return keep_aside(path)
    aside = _name_aside(path)
    shutil.copy2(path, aside)
    return aside


def _name_aside(path: Path) -> Path:
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    return aside


def infer_layout(folder: RunFolder, variants: int) -> int | None:
    """Return how many instructions a shard of a run holds whose `run.json` is lost; None where nothing tells.

    All shards but the last one are of one size.
    """
    planned = []
    for path in sorted(folder.path.glob("shards/*/shard.json"))[:2]:
        try:
            summary = folder.finished(path.parent.name)
        except StorageError:
            continue
        planned += [summary.planned] if summary else []
    several = len(list(folder.path.glob("shards/*"))) > 1
    return max(planned) // variants or None if planned and several else None


def _read(read: Callable[[RunFolder], RunData | None], folder: RunFolder) -> RunData | StorageError | None:
    try:
        return read(folder)
    except StorageError as error:
        return error


def _restore(
    folder: RunFolder, name: str, run: RunData | StorageError | None, manifest: RunData | StorageError | None
) -> ShardSummary | None:
    """Return the summary of a shard whose rows are whole; None where that cannot be told."""
    if isinstance(manifest, RunData):
        found = next((summary for summary in manifest.summaries if summary.name == name), None)
        if found is not None and not folder.verify([found]):
            return found
    file = folder.rows_file(name)
    if not isinstance(run, RunData) or name not in run.shards or folder.open_file(name).exists():
        return None
    try:
        rows = sum(batch.num_rows for batch in read_batches(file))
        failures = folder.read_failures(name)
    except StorageError:
        return None
    planned = min(run.instructions_per_shard, run.instructions) * run.variants
    if name == list(run.shards)[-1]:
        planned = run.planned - run.instructions_per_shard * run.variants * (len(run.shards) - 1)
    if rows + len(failures) != planned:
        return None
    return ShardSummary(
        name=name,
        fingerprint=run.shards[name],
        planned=planned,
        ok=rows,
        failed=len(failures),
        retryable=sum(failure.retryable for failure in failures),
        failures=dict(Counter(failure.kind for failure in failures)),
        sha256=hash_file(file),
    )
