"""A whole run as published rows, without building it first: what the `datasets` builder reads run folders by.

Example:
    source = RunSource(Path("run"))
    for split, (files, read) in source.splits("dpo").items():
        batches = read(files[0])
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, Choice, PublishedConfig, choose
from multifaceted.export.build import read_run_rows
from multifaceted.ids import content_id
from multifaceted.store.manifest import RunData, read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_batches

Read = Callable[[str], Iterator[pa.RecordBatch]]


class RunSource:
    """The configs of one run.

    Raises:
        StorageError: where the folder holds no whole run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = RunFolder(folder)
        self._data = _read_run(self._folder)
        self._published = CONFIGS[self._data.kind]

    @property
    def configs(self) -> list[str]:
        """Names of what it can be published as; the first is the default."""
        return list(self._published)

    @property
    def digest(self) -> str:
        """Names the content: equal digests, equal rows."""
        return content_id([summary.sha256 for summary in self._data.summaries], length=16)

    def schema(self, config: str) -> pa.Schema:
        """The schema of a config's rows."""
        return self._published[config].schema

    def splits(self, config: str) -> dict[str, tuple[list[str], Read]]:
        """For each split the files to read, and how; files can be read in any process, in any order."""
        files = [str(self._folder.rows_file(summary.name)) for summary in self._data.summaries if summary.ok]
        published = self._published[config]
        chosen = published.chosen
        choice = choose(read_run_rows(map(Path, files)), self._data.seed) if chosen else Choice()
        names = [name for name in published.splits if name != "test" or choice.test]
        return {name: (files, partial(_derive, published, name, choice)) for name in names}


def _derive(published: PublishedConfig, split: str, choice: Choice, file: str) -> Iterator[pa.RecordBatch]:
    return published.derive(read_batches(Path(file)), split, choice)


def _read_run(folder: RunFolder) -> RunData:
    data = read_manifest(folder)
    if data is None:
        hint = "finish the run with `multifaceted generate`, or name a folder that `multifaceted build` made"
        raise StorageError(f"{folder.path} is neither a whole run nor a built folder", hint=hint)
    return data
