"""A `datasets` builder for built folders and run folders; the same file is a loading script for `datasets` 3.

    builder = MultifacetedCollection("sft", data_dir="multifaceted_collection")     # any version
    builder.download_and_prepare()
    rows = builder.as_dataset(split="train")

    load_dataset("multifaceted_collection.py", "dpo", data_dir="…", trust_remote_code=True)     # 3.x only

A built folder is read with `datasets` and `pyarrow` alone. A run folder needs `multifaceted` to be installed.
The content of the folder is part of the cache key, so rows are never served stale.
"""

from __future__ import annotations  # `datasets` 3 runs on older Pythons

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Protocol

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

Read = Callable[[str], Iterator[pa.RecordBatch]]


class MultifacetedCollection(datasets.ArrowBasedBuilder):
    """One config for each published set. Which there are is known once there is a folder.

    Args:
        config_name: such as `sft`, `dpo` or `provenance`; of a bench, `bench` or `provenance`. None takes
            the first that the folder has.
        data_dir: a folder that `multifaceted build` made, or a whole run folder.
        **options: what any `datasets` builder takes.

    Raises:
        ValueError: where the folder is missing, or has no such config.
        multifaceted.errors.StorageError: where a run is not whole, or a folder is neither.
    """

    def __init__(
        self, config_name: str | None = None, *, data_dir: str | Path | None = None, **options: Any
    ) -> None:
        if data_dir is None:
            raise ValueError("name a built folder or a run folder: data_dir=…")
        self._source = _open_source(Path(data_dir))
        found = self._source.configs
        config_name = config_name or next(iter(found))
        if config_name not in found:
            raise ValueError(f"{data_dir} has no config {config_name!r}, but {', '.join(found)}")
        # `datasets` keys its cache by the folder's name, and the hash that `load_dataset` gives is that of
        # this file: without the content, old rows would come back.
        given = options.get("hash")
        options["hash"] = _hash_text(f"{given} {self._source.digest}") if given else self._source.digest
        super().__init__(config_name=config_name, data_dir=str(data_dir), **options)

    def _info(self) -> datasets.DatasetInfo:
        schema = self._source.schema(self.config.name)
        return datasets.DatasetInfo(features=datasets.Features.from_arrow_schema(schema))

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        del dl_manager  # nothing is downloaded
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"files": files, "read": read})
            for split, (files, read) in self._source.splits(self.config.name).items()
        ]

    def _generate_tables(self, files: list[str], read: Read) -> Iterator[tuple[tuple[int, int], pa.Table]]:
        """The record batches of some files: `num_proc` and workers that stream share the list out."""
        for file_index, file in enumerate(files):
            for batch_index, batch in enumerate(read(file)):
                yield (file_index, batch_index), pa.Table.from_batches([batch])


class _Source(Protocol):
    """Where rows come from."""

    @property
    def configs(self) -> Collection[str]:
        """Names of what there is, the default first."""

    @property
    def digest(self) -> str:
        """Names the content: equal digests, equal rows."""

    def schema(self, config: str) -> pa.Schema:
        """The schema of a config's rows."""

    def splits(self, config: str) -> dict[str, tuple[list[str], Read]]:
        """For each split the files to read, and how."""


class _BuiltSource:
    """The configs of a built folder, found by its manifest."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self._folder = folder
        self.configs = {config["name"]: config["files"] for config in manifest["configs"]}
        self.digest = _hash_text(json.dumps(manifest["configs"], sort_keys=True))

    def schema(self, config: str) -> pa.Schema:
        file = self._folder / self.configs[config][0]["path"]
        if file.suffix == ".parquet":
            return pq.read_schema(file)
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            return reader.schema

    def splits(self, config: str) -> dict[str, tuple[list[str], Read]]:
        found: dict[str, tuple[list[str], Read]] = {}
        for file in self.configs[config]:
            files, _ = found.setdefault(file["split"], ([], _read_file))
            files.append(str(self._folder / file["path"]))
        return found


def _read_file(file: str) -> Iterator[pa.RecordBatch]:
    if file.endswith(".parquet"):
        with pq.ParquetFile(file) as parquet:
            yield from parquet.iter_batches()
        return
    with pa.memory_map(file) as source, pa.ipc.open_stream(source) as reader:
        yield from reader


def _open_source(folder: Path) -> _Source:
    manifest = folder / "manifest.json"
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    content = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    if content.get("kind") == "multifaceted-built":
        return _BuiltSource(folder, content)
    try:
        # Not above: `datasets` 3 would refuse this file where the package is not installed.
        from multifaceted.building.source import open_run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "multifaceted":
            raise
        message = (
            f"{folder} is not a folder that `multifaceted build` made; a run needs the package multifaceted"
        )
        raise ValueError(message) from error
    return open_run(folder, verified=False)


def _hash_text(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]
