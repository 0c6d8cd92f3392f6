"""Where a view's rows come from: a whole run, or a built folder, read the same way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, choose
from multifaceted.export.build import read_run_rows
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest, read_built_manifest
from multifaceted.store.manifest import RunData, read_whole_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published, verify_file


@dataclass(frozen=True, slots=True)
class Source:
    """A collection, ready to be read.

    Args:
        run: what it was made from.
        left_out: instructions that give no pair, counted by reason.
        test: ids of the pairs that are kept for testing a reward model.
        read: the rows of a published config, its first split; nothing for one that is not there.
    """

    run: RunData
    left_out: dict[str, int]
    test: frozenset[str]
    read: Callable[[str], Iterator[pa.RecordBatch]]


def open_source(path: Path) -> Source:
    """Open a run folder or a built folder, once its checksums are found right.

    Raises:
        StorageError: where it is neither, not whole, damaged, or a bench.
    """
    manifest = read_built_manifest(path)
    data = read_whole_run(RunFolder(path)) if manifest is None else manifest.run
    if data.kind != "collection":
        hint = "export a run of `kind: collection`, and keep the bench for judging what it trains"
        raise StorageError(f"{path} is a {data.kind}: nothing is trained on it", hint=hint)
    return _open_run(RunFolder(path), data) if manifest is None else _open_built(path, manifest)


def _open_run(folder: RunFolder, data: RunData) -> Source:
    files = [folder.rows_file(summary.name) for summary in data.summaries]
    configs = CONFIGS[data.kind]
    choice = choose(read_run_rows(files), data.seed)
    return Source(
        run=data,
        left_out={reason: len(ids) for reason, ids in choice.left_out.items()},
        test=choice.test,
        read=lambda config: configs[config].derive(read_run_rows(files), "train", choice),
    )


def _open_built(path: Path, manifest: BuiltManifest) -> Source:
    configs = {config.name: config for config in manifest.configs}
    _refuse_damaged(path, manifest)

    def read(config: str, split: str = "train") -> Iterator[pa.RecordBatch]:
        for file in _files_of(configs.get(config), split):
            yield from read_published(path / file)

    return Source(
        run=manifest.run,
        left_out={reason: len(ids) for reason, ids in manifest.left_out.items()},
        test=frozenset(name for batch in read("rm", "test") for name in batch.column("id").to_pylist()),
        read=read,
    )


def _files_of(config: BuiltConfig | None, split: str) -> list[str]:
    return [file.path for file in config.splits.get(split, [])] if config else []


def _refuse_damaged(path: Path, manifest: BuiltManifest) -> None:
    files = [file for config in manifest.configs for file in config.files]
    faults = [
        f"{path / file.path} {fault}"
        for file in files
        if (fault := verify_file(path / file.path, file.sha256))
    ]
    if faults:
        hint = "build it again with `multifaceted build`; `multifaceted check` lists every fault"
        raise StorageError("\n".join(faults), hint=hint)
