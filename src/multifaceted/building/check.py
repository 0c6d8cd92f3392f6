"""Checking a built folder or a run: every fault listed. `check_folder(Path("multifaceted_collection"))`."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets

from multifaceted.building.card import CARD
from multifaceted.building.check_card import find_card_faults
from multifaceted.building.check_rows import RowChecker
from multifaceted.building.config import PublishedConfig
from multifaceted.building.configs import configs_of
from multifaceted.building.croissant import CROISSANT, find_croissant_faults
from multifaceted.errors import InputError, StorageError
from multifaceted.inputfile import read_input_text
from multifaceted.store.built_folder import BuiltConfig, BuiltFile, BuiltManifest, read_built_manifest
from multifaceted.store.curation import find_curation_faults
from multifaceted.store.manifest import read_manifest
from multifaceted.store.run_folder import MANIFEST, RunFolder
from multifaceted.store.salvage import find_damage
from multifaceted.store.shards import read_published, verify_file

# What `datasets` reads beside the card, and no built folder of ours has.
_LOADED = (".huggingface.yaml", "dataset_infos.json")


def check_folder(folder: Path) -> list[str]:
    """Return everything that is wrong with a built folder or a run folder; empty where nothing is."""
    try:
        built = read_built_manifest(folder)
        if built is not None:
            return list(_check_built(folder, built))
        run = read_manifest(RunFolder(folder))
    except StorageError as error:
        return [error.message, *_check_shards(RunFolder(folder))]
    if run is None:
        damaged = list(_check_shards(RunFolder(folder)))
        return [f"{folder} is neither a built folder nor a finished run: it has no {MANIFEST}", *damaged]
    faults = [*_check_shards(RunFolder(folder)), *RunFolder(folder).verify(run.summaries)]
    if run.planned != run.ok + run.failed:
        faults.append(f"{run.planned} rows planned, but {run.ok} ok and {run.failed} failed")
    return faults + find_curation_faults(RunFolder(folder), run)


def _check_shards(folder: RunFolder) -> Iterator[str]:
    """Yield what is damaged of the shards of a run beside their rows."""
    for path in sorted(folder.path.glob("shards/*")):
        try:
            folder.finished(path.name)
            folder.read_failures(path.name)
        except StorageError as error:
            yield error.message
        if damage := find_damage(folder.journal_file(path.name)):
            yield damage


def _check_built(folder: Path, manifest: BuiltManifest) -> Iterator[str]:
    published = configs_of(manifest.run)
    unknown = [config.name for config in manifest.configs if config.name not in published]
    if unknown:
        known = f"a run of kind {manifest.run.kind!r} is published as {', '.join(published)}"
        yield f"{folder / MANIFEST} names the config {unknown[0]!r}: {known}"
        return
    listed = {file.path for config in manifest.configs for file in config.files}
    yield from (f"{extra} is not in the manifest" for extra in _list_extra(folder, listed))
    yield from _check_account(manifest)
    rows = RowChecker(published)
    damaged = False
    for config in manifest.configs:
        for file in config.files:
            for fault in _check_file(folder, config, file, published[config.name], rows):
                damaged = True
                yield f"{folder / file.path} {fault}"
    yield from rows.faults(complete=not damaged)
    described = list(_check_metadata(folder, manifest, damaged=damaged))
    yield from described
    # `datasets` believes the card, and would ask other hosts for what a false one names.
    if not damaged and not described:
        yield from _check_loading(folder, manifest)


def _check_metadata(folder: Path, manifest: BuiltManifest, *, damaged: bool) -> Iterator[str]:
    for name, sha256 in manifest.metadata.items():
        fault = verify_file(folder / name, sha256)
        if fault:
            yield f"{folder / name} {fault}; if you changed it, build with a card template instead"
    for name in _LOADED:
        if os.path.lexists(folder / name):
            yield f"{folder / name} was not written by multifaceted, and changes what `load_dataset` reads"
    if damaged:
        return
    for name, find_faults in ((CARD, find_card_faults), (CROISSANT, find_croissant_faults)):
        if (folder / name).is_file():
            try:
                text = read_input_text(folder / name)
            except InputError as error:
                yield error.message
                continue
            yield from (f"{folder / name}: {fault}" for fault in find_faults(text, manifest))


def _list_extra(folder: Path, listed: set[str]) -> list[Path]:
    """Files among the shards; elsewhere people may keep what they like, it is neither loaded nor pushed."""
    holders = {(folder / path).parent for path in listed} - {folder}
    beside = sorted(path for holder in holders if holder.is_dir() for path in holder.iterdir())
    return [path for path in beside if path.relative_to(folder).as_posix() not in listed]


def _check_account(manifest: BuiltManifest) -> Iterator[str]:
    """Planned = kept + dropped + failed + pending, and what is kept is there."""
    run, curation = manifest.run, manifest.curation
    kept, dropped = (curation.kept, curation.dropped) if curation else (run.ok, 0)
    if run.planned != kept + dropped + run.failed + manifest.pending:
        pending = f"{manifest.pending} pending, " if manifest.pending else ""
        made = f"{kept} kept, {dropped} dropped and {run.failed} failed"
        yield f"{run.planned} rows planned, but {pending}{made}"
    if manifest.configs and manifest.configs[0].rows != kept:
        name = manifest.configs[0].name
        yield f"config {name!r} has {manifest.configs[0].rows} rows, but {kept} of the run are kept"


def _check_file(
    folder: Path, config: BuiltConfig, file: BuiltFile, published: PublishedConfig, rows: RowChecker
) -> Iterator[str]:
    path = folder / file.path
    fault = verify_file(path, file.sha256)
    if fault:
        yield fault
    if not path.is_file():
        return
    if path.stat().st_size != file.bytes:
        yield f"has {path.stat().st_size:,} bytes, the manifest says {file.bytes:,}"
    count = 0
    try:
        for batch in read_published(path):
            count += batch.num_rows
            if not batch.schema.equals(published.schema):
                yield f"has another schema than config {config.name!r}"
                break
            rows.add(config.name, file.split, batch)
    except (StorageError, KeyError) as error:
        yield f"cannot be read: {error}"
    if count != file.rows:
        yield f"holds {count} rows, the manifest says {file.rows}"


def _check_loading(folder: Path, manifest: BuiltManifest) -> Iterator[str]:
    """Load each config as a user would, into a cache that is thrown away."""
    datasets.disable_progress_bars()
    published = configs_of(manifest.run)
    with tempfile.TemporaryDirectory() as cache:
        for config in manifest.configs:
            try:
                loaded = datasets.load_dataset(str(folder.resolve()), config.name, cache_dir=cache)
            except Exception as error:  # noqa: BLE001 - whatever stops a user is a fault of the folder
                yield f"load_dataset fails for config {config.name!r}: {type(error).__name__}: {error}"
                continue
            if {name: rows.num_rows for name, rows in loaded.items()} != config.split_rows:
                yield f"load_dataset gives other rows of {config.name!r} than the manifest says"
            features = datasets.Features.from_arrow_schema(published[config.name].schema)
            if any(rows.features != features for rows in loaded.values()):
                yield f"load_dataset gives other features for config {config.name!r} than it was written with"
