"""Reading a pushed revision back: every file's hash, and each config found and opened as a user would.

The Hub lists a hash for each file, so no file is downloaded whole. With equal bytes, and with the card's
patterns finding exactly those files, the rows are those of the checked folder. The first ids of each split
are read, to prove that they can be. `datasets` does not stream them: a stream of Parquet that is left before
its end has threads at work when the process ends, and can abort it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from multifaceted.errors import HubError
from multifaceted.publishing.changes import is_same, list_files
from multifaceted.publishing.hub import DatasetRepo, redact
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest


def read_back(folder: Path, manifest: BuiltManifest, repo: DatasetRepo, revision: str) -> None:
    """Compare a revision on the Hub with the folder that was pushed.

    Raises:
        HubError: with every difference, or where the Hub cannot be read.
    """
    try:
        faults = list(_compare_hashes(folder, manifest, repo, revision))
    except HubError as error:
        note = f"the commit {revision[:12]} is there, but could not be read back"
        hint = "the same push again makes no new commit, and reads back what is there"
        raise HubError(f"{error.message}\n{note}", hint=hint, retryable=True) from error
    for config in manifest.configs:
        if not faults:  # where one cannot be loaded, the client has waited long enough
            faults += _check_config(folder, config, repo, revision)
    if faults:
        head = f"the commit {revision[:12]} is on the Hub, but reading it back shows:"
        hint = "run the same push again; if it says the same, somebody else changes the repository"
        raise HubError("\n".join([head, *faults]), hint=hint)


def _compare_hashes(folder: Path, manifest: BuiltManifest, repo: DatasetRepo, revision: str) -> Iterator[str]:
    state = repo.look(revision)
    if state is None:
        yield f"{repo} is gone"
        return
    for path in list_files(manifest):
        if path not in state.files:
            yield f"{path} is missing"
        elif not is_same(folder / path, state.files[path]):
            yield f"{path} has another hash"


def _check_config(folder: Path, config: BuiltConfig, repo: DatasetRepo, revision: str) -> Iterator[str]:
    try:
        builder = datasets.load_dataset_builder(str(repo), config.name, revision=revision)
        found = {str(split): list(paths) for split, paths in builder.config.data_files.items()}
        named = {
            split: [path.partition(f"@{revision}/")[2] for path in paths] for split, paths in found.items()
        }
        if named != {split: [file.path for file in files] for split, files in config.splits.items()}:
            yield f"load_dataset finds other files for config {config.name!r} than were pushed: {named}"
            return
        counts = {split: info.num_examples for split, info in builder.info.splits.items()}
        if counts != config.split_rows:
            yield f"load_dataset expects other rows for config {config.name!r}: {counts}"
        for split, files in config.splits.items():
            with repo.open(found[split][0]) as remote, (folder / files[0].path).open("rb") as local:
                if _read_first_ids(remote, files[0].path) != _read_first_ids(local, files[0].path):
                    yield f"the first rows of {config.name!r}, {split}, are not those that were pushed"
    except Exception as error:  # noqa: BLE001 - whatever stops a user is a fault of what was pushed
        yield redact(f"load_dataset fails for config {config.name!r}: {type(error).__name__}: {error}")


def _read_first_ids(file: BinaryIO, name: str) -> list[Any]:
    if name.endswith(".parquet"):
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            return list(parquet.read_row_group(0, columns=["id"], use_threads=False)["id"].to_pylist())
    with pa.ipc.open_stream(file) as stream:
        return list(stream.read_next_batch()["id"].to_pylist())
