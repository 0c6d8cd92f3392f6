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
from multifaceted.export import CONFIGS, Choice, PublishedConfig, choose
from multifaceted.ids import content_id
from multifaceted.kinds import KindName
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.manifest import RunData, read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published


class MultifacetedCollection(datasets.ArrowBasedBuilder):
    """One config for each published set.

    Args:
        config_name: `sft` (default), `sft_small`, `dpo`, `orpo`, `rm` or `provenance`; of a bench, `bench`
            (default) or `provenance`.
        data_dir: a whole run folder, or a folder that `multifaceted build` made.
        **options: what any `datasets` builder takes.
    """

    BUILDER_CONFIGS: ClassVar = [
        datasets.BuilderConfig(name=config.name, description=config.summary)
        for config in {name: config for kind in CONFIGS.values() for name, config in kind.items()}.values()
    ]
    DEFAULT_CONFIG_NAME = next(iter(CONFIGS["collection"]))

    def __init__(self, config_name: str | None = None, *, data_dir: str | Path, **options: Any) -> None:
        self._folder = Path(data_dir)
        # `datasets` keys its cache by the folder's name: without the content, old rows would come back.
        options.setdefault("hash", _digest(self._folder))
        self._configs = CONFIGS[_read_kind(self._folder)]
        config_name = config_name or next(iter(self._configs))
        if config_name in self.builder_configs and config_name not in self._configs:
            hint = f"name one of {', '.join(self._configs)}"
            raise StorageError(f"{data_dir} has no config {config_name!r}", hint=hint)
        super().__init__(config_name=config_name, data_dir=str(data_dir), **options)

    @property
    def _published(self) -> PublishedConfig:
        return self._configs[self.config.name]

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(self._published.schema))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        del dl_manager  # nothing is downloaded
        built = read_built_manifest(self._folder)
        if built is not None:
            found = {
                split: [str(self._folder / file.path) for file in files]
                for config in built.configs
                if config.name == self.config.name
                for split, files in config.splits.items()
            }
            return [_split(name, files, None, name) for name, files in found.items()]
        data = _read_run(self._folder)
        files = [
            str(RunFolder(self._folder).rows_file(summary.name)) for summary in data.summaries if summary.ok
        ]
        rows = (batch for file in files for batch in read_published(Path(file)))
        choice = choose(rows, data.seed) if self._published.chosen else Choice()
        splits = [name for name in self._published.splits if name != "test" or choice.test]
        return [_split(name, files, choice, name) for name in splits]

    def _generate_tables(
        self, files: list[str], choice: Choice | None, name: str
    ) -> Iterator[tuple[Any, pa.Table]]:
        for file_index, file in enumerate(files):
            batches = read_published(Path(file))
            derived = batches if choice is None else self._published.derive(batches, name, choice)
            for batch_index, batch in enumerate(derived):
                yield (file_index, batch_index), pa.Table.from_batches([batch])


def _split(name: str, files: list[str], choice: Choice | None, split: str) -> datasets.SplitGenerator:
    return datasets.SplitGenerator(name=name, gen_kwargs={"files": files, "choice": choice, "name": split})


def _digest(folder: Path) -> str:
    built = read_built_manifest(folder)
    return built.digest if built else content_id([s.sha256 for s in _read_run(folder).summaries], length=16)


def _read_kind(folder: Path) -> KindName:
    built = read_built_manifest(folder)
    return built.run.kind if built else _read_run(folder).kind


def _read_run(folder: Path) -> RunData:
    data = read_manifest(RunFolder(folder))
    if data is None:
        hint = "finish the run with `multifaceted generate`, or name a folder that `multifaceted build` made"
        raise StorageError(f"{folder} is neither a whole run nor a built folder", hint=hint)
    return data
