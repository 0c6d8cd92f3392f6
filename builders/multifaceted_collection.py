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
from multifaceted.export import BY_NAME, CONFIGS, Choice, PublishedConfig, choose
from multifaceted.export.choice import keep_rows
from multifaceted.ids import content_id
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.curation import curation_folder, read_curation, read_kept
from multifaceted.store.manifest import RunData, read_manifest
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published


class MultifacetedCollection(datasets.ArrowBasedBuilder):
    """One config for each published set.

    Args:
        config_name: `sft` (default), `sft_small`, `dpo`, `orpo`, `rm` or `provenance`.
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
        return BY_NAME[self.config.name]

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
        folder, starts, rows = RunFolder(self._folder), dict[str, int](), 0
        for summary in data.summaries:
            if summary.ok:
                starts[str(folder.rows_file(summary.name))] = rows
            rows += summary.ok
        curation = read_kept(folder, data)
        batches = (batch for file in starts for batch in read_published(Path(file)))
        choice = choose(batches, data.seed, kept=curation.kept if curation else None)
        splits = [name for name in self._published.splits if name != "test" or choice.test]
        return [_split(name, list(starts), choice, name, starts) for name in splits]

    def _generate_tables(
        self, files: list[str], choice: Choice | None, name: str, starts: dict[str, int]
    ) -> Iterator[tuple[Any, pa.Table]]:
        for file_index, file in enumerate(files):
            derived = read_published(Path(file))
            if choice is not None:
                kept = choice.kept if choice.kept is None else choice.kept.slice(starts[file])
                derived = self._published.derive(keep_rows(derived, kept), name, choice)
            for batch_index, batch in enumerate(derived):
                yield (file_index, batch_index), pa.Table.from_batches([batch])


def _split(
    name: str, files: list[str], choice: Choice | None, split: str, starts: dict[str, int] | None = None
) -> datasets.SplitGenerator:
    # `files` is shared out among processes; the others go to each of them.
    arguments = {"files": files, "choice": choice, "name": split, "starts": starts or {}}
    return datasets.SplitGenerator(name=name, gen_kwargs=arguments)


def _digest(folder: Path) -> str:
    built = read_built_manifest(folder)
    if built is not None:
        return built.digest
    curation = read_curation(curation_folder(RunFolder(folder)))
    hashes = [summary.sha256 for summary in _read_run(folder).summaries]
    return content_id([*hashes, *([curation.record] if curation else [])], length=16)


def _read_run(folder: Path) -> RunData:
    data = read_manifest(RunFolder(folder))
    if data is None:
        hint = "finish the run with `multifaceted generate`, or name a folder that `multifaceted build` made"
        raise StorageError(f"{folder} is neither a whole run nor a built folder", hint=hint)
    return data
