"""Reading a pushed revision back: every file's hash, and each config loaded as a user would.

The Hub lists a hash for each file, so no file is downloaded whole. With equal bytes, and with the card's
patterns finding exactly those files, the rows are those of the checked folder; the first row of each split is
streamed to prove that they can be read from there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets

from multifaceted.errors import HubError
from multifaceted.publish.changes import is_same, list_files
from multifaceted.publish.hub import DatasetRepo, redact
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest
from multifaceted.store.shards import read_published


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
        found = {
            str(split): [path.partition(f"@{revision}/")[2] for path in paths]
            for split, paths in builder.config.data_files.items()
        }
        if found != {split: [file.path for file in files] for split, files in config.splits.items()}:
            yield f"load_dataset finds other files for config {config.name!r} than were pushed: {found}"
            return
        for split, files in config.splits.items():
            streamed = next(iter(builder.as_streaming_dataset(split=split)))
            if streamed != _read_first(folder / files[0].path):
                yield f"the first row of {config.name!r}, {split}, is not the one that was pushed"
    except Exception as error:  # noqa: BLE001 - whatever stops a user is a fault of what was pushed
        yield redact(f"load_dataset fails for config {config.name!r}: {type(error).__name__}: {error}")


def _read_first(file: Path) -> Any:
    return next(batch for batch in read_published(file) if batch.num_rows).slice(0, 1).to_pylist()[0]
