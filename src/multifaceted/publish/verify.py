"""Checking a built folder or a run: every fault listed. `check_folder(Path("multifaceted_collection"))`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import datasets
from huggingface_hub import metadata_load

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS
from multifaceted.store.built_folder import BuiltConfig, BuiltFile, BuiltManifest, read_built_manifest
from multifaceted.store.manifest import read_manifest
from multifaceted.store.run_folder import MANIFEST, RunFolder
from multifaceted.store.shards import read_published, verify_file


def check_folder(folder: Path) -> list[str]:
    """Everything that is wrong with a built folder or a run folder; empty where nothing is."""
    try:
        built = read_built_manifest(folder)
        if built is not None:
            return list(_check_built(folder, built))
        run = read_manifest(RunFolder(folder))
    except StorageError as error:
        return [error.message]
    if run is None:
        return [f"{folder} is neither a built folder nor a finished run: it has no {MANIFEST}"]
    faults = RunFolder(folder).verify(run.summaries)
    if run.planned != run.ok + run.failed:
        faults.append(f"{run.planned} rows planned, but {run.ok} ok and {run.failed} failed")
    return faults


def _check_built(folder: Path, manifest: BuiltManifest) -> Iterator[str]:
    listed = {file.path for config in manifest.configs for file in config.files}
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    for extra in sorted(found - listed - {"README.md", MANIFEST}):
        yield f"{folder / extra} is not in the manifest"
    ids: dict[str, list[str]] = {}
    damaged = False
    for config in manifest.configs:
        ids[config.name] = []
        for file in config.files:
            for fault in _check_file(folder, config, file, ids[config.name]):
                damaged = True
                yield f"{folder / file.path} {fault}"
        repeated = len(ids[config.name]) - len(set(ids[config.name]))
        if repeated:
            yield f"config {config.name!r}: {repeated} ids stand more than once"
    if not damaged:
        first, *others = manifest.configs
        for other in others:
            if set(ids[first.name]) != set(ids[other.name]):
                yield f"configs {first.name!r} and {other.name!r} have not the same ids"
        yield from _check_card(folder / "README.md", manifest)
        yield from _check_loading(folder, manifest)


def _check_file(folder: Path, config: BuiltConfig, file: BuiltFile, ids: list[str]) -> Iterator[str]:
    path = folder / file.path
    fault = verify_file(path, file.sha256)
    if fault:
        yield fault
    if not path.is_file():
        return
    published = next((c for c in CONFIGS if c.name == config.name), None)
    rows = 0
    try:
        for batch in read_published(path):
            rows += batch.num_rows
            ids += batch.column("id").to_pylist()
            if published is not None and not batch.schema.equals(published.schema):
                yield f"has another schema than config {config.name!r}"
                break
    except (StorageError, KeyError) as error:
        yield f"cannot be read: {error}"
    if rows != file.rows:
        yield f"holds {rows} rows, the manifest says {file.rows}"


def _check_card(card: Path, manifest: BuiltManifest) -> Iterator[str]:
    """The digests and counts in the card must be those of the data: `datasets` keys its cache by them."""
    header = metadata_load(card) if card.is_file() else None
    if header is None:
        yield f"{card} is missing, or has no YAML header"
        return
    digests = {str(entry.get("config_name")): entry.get("description") for entry in header.get("configs", [])}
    infos = header.get("dataset_info", [])
    counts = {str(i.get("config_name")): i["splits"][0]["num_examples"] for i in infos if i.get("splits")}
    for config in manifest.configs:
        if digests.get(config.name) != f"content {config.digest}":
            yield f"{card}: the content digest of config {config.name!r} is not that of the data"
        if counts.get(config.name) != config.rows:
            yield f"{card}: the rows of config {config.name!r} are not those of the data"


def _check_loading(folder: Path, manifest: BuiltManifest) -> Iterator[str]:
    """Load each config as a user would, into a cache that is thrown away."""
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        for config in manifest.configs:
            try:
                rows = datasets.load_dataset(str(folder), config.name, split="train", cache_dir=cache)
            except Exception as error:  # noqa: BLE001 - whatever stops a user is a fault of the folder
                yield f"load_dataset fails for config {config.name!r}: {type(error).__name__}: {error}"
                continue
            if rows.num_rows != config.rows:
                yield f"load_dataset gives {rows.num_rows} rows of {config.name!r}, not {config.rows}"
            published = next(c for c in CONFIGS if c.name == config.name)
            if rows.features != datasets.Features.from_arrow_schema(published.schema):
                yield f"load_dataset gives other features for config {config.name!r} than it was written with"
