"""A `datasets` builder that reads a run folder or a built folder, without publishing it first.

    builder = MultifacetedCollection("sft", data_dir="run")
    builder.download_and_prepare()
    rows = builder.as_dataset(split="train")

The content of the folder is part of the cache key, so rows are never served stale.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow as pa

from multifaceted.errors import StorageError
from multifaceted.export import CONFIGS, PublishedConfig
from multifaceted.ids import content_id
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.manifest import read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published

PUBLISHED = {config.name: config for config in CONFIGS}


class MultifacetedCollection(datasets.ArrowBasedBuilder):
    """One config for each published set.

    Args:
        config_name: `sft` (default) or `provenance`.
        data_dir: a whole run folder, or a folder that `multifaceted build` made.
        **options: what any `datasets` builder takes.
    """

    BUILDER_CONFIGS: ClassVar = [
        datasets.BuilderConfig(name=config.name, description=config.summary) for config in CONFIGS
    ]
    DEFAULT_CONFIG_NAME = CONFIGS[0].name

    def __init__(self, config_name: str | None = None, *, data_dir: str | Path, **options: Any) -> None:
        self._folder = Path(data_dir)
        # `datasets` keys its cache by the folder's name: without the content, old rows would come back.
        options.setdefault("hash", _digest(self._folder))
        super().__init__(config_name=config_name, data_dir=str(data_dir), **options)

    @property
    def _published(self) -> PublishedConfig:
        return PUBLISHED[self.config.name]

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(self._published.schema))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        del dl_manager  # nothing is downloaded
        files = _files_of(self._folder, self.config.name)
        return [datasets.SplitGenerator(name="train", gen_kwargs={"files": files})]

    def _generate_tables(self, files: list[str]) -> Iterator[tuple[Any, pa.Table]]:
        for file_index, file in enumerate(files):
            for batch_index, batch in enumerate(read_published(Path(file))):
                yield (file_index, batch_index), pa.Table.from_batches([self._published.to_batch(batch)])


def _files_of(folder: Path, config: str) -> list[str]:
    built = read_built_manifest(folder)
    if built is not None:
        return [str(folder / file.path) for c in built.configs if c.name == config for file in c.files]
    run = RunFolder(folder)
    return [str(run.rows_file(s.name)) for s in _read_run(folder) if s.ok]


def _digest(folder: Path) -> str:
    built = read_built_manifest(folder)
    return built.digest if built else content_id([s.sha256 for s in _read_run(folder)], length=16)


def _read_run(folder: Path) -> list[Any]:
    data = read_manifest(RunFolder(folder))
    if data is None:
        hint = "finish the run with `multifaceted generate`, or name a folder that `multifaceted build` made"
        raise StorageError(f"{folder} is neither a whole run nor a built folder", hint=hint)
    return list(data.summaries)
