"""Rows of a run or of a built folder, without those that curation drops.

Example:
    source = open_source(Path("run"))
    batches = source.read("dpo")     # as published
    batches = source.read_rows()     # as the run has them
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import accumulate, zip_longest
from pathlib import Path

import pyarrow as pa

from multifaceted.building.choice import Choice, choose, keep_rows
from multifaceted.building.config import PublishedConfig
from multifaceted.building.configs import configs_of
from multifaceted.building.configs.provenance import PROVENANCE
from multifaceted.errors import StorageError
from multifaceted.ids import content_id
from multifaceted.store.built_folder import BuiltManifest, read_built_manifest
from multifaceted.store.curation import CurationSummary, read_kept
from multifaceted.store.manifest import RunData, read_whole_run, refuse_damaged
from multifaceted.store.present import OpenFiles, look_at_run
from multifaceted.store.run_folder import RunFolder, ShardSummary
from multifaceted.store.shards import read_published, verify_file

Read = Callable[[str], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, kw_only=True)
class RowSource(ABC):
    """Rows that can be read again and again."""

    path: Path
    run: RunData  # what the rows were made from; its summaries are of the shards that are read
    curation: CurationSummary | None = None  # what it left out; None: nothing
    kept: pa.BooleanArray | None = None  # of each row in the files, whether curation keeps it; None: all
    fitting: Mapping[str, list[str]] = field(default_factory=dict)  # pairs that are none, for `choose`

    @property
    def configs(self) -> dict[str, PublishedConfig]:
        """Return what the run is published as, by name, the default first."""
        return configs_of(self.run)

    @cached_property
    def choice(self) -> Choice:
        """Return which rows go into the smaller sets; it takes one look at all rows."""
        if not any(config.rows == "pairs" for config in self.configs.values()):
            return Choice(kept=self.kept)
        return replace(choose(self.read_rows(), self.run.seed, self.fitting), kept=self.kept)

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Instructions that give no pair, by reason."""
        return self.choice.left_out

    @property
    def test(self) -> frozenset[str]:
        """Return ids of the pairs that are kept for testing a reward model."""
        return self.choice.test

    @abstractmethod
    def read(self, config: str, split: str = "train") -> Iterator[pa.RecordBatch]:
        """Read the rows of a published config; nothing where it has none."""

    @abstractmethod
    def read_rows(self) -> Iterator[pa.RecordBatch]:
        """Read the rows with the columns that a run gives them."""


@dataclass(frozen=True, kw_only=True)
class RunSource(RowSource):
    """A run folder: its configs are made while they are read."""

    open: OpenFiles = field(default_factory=OpenFiles)  # rows of shards that were not finished

    @property
    def files(self) -> list[Path]:
        """Return the shards that have rows, in order."""
        folder, copied = RunFolder(self.path), self.open.paths
        names = (summary.name for summary in self._filled)
        return [copied[name] if name in copied else folder.rows_file(name) for name in names]

    @property
    def _filled(self) -> list[ShardSummary]:
        """Return the shards that have a file; an open one without a finished row has none."""
        return [summary for summary in self.run.summaries if summary.sha256]

    @property
    def digest(self) -> str:
        """Return what names the content: equal digests, equal rows."""
        curation = self.curation.model_dump() if self.curation else None
        fitting = [dict(self.fitting)] if self.fitting else []
        hashes = [summary.sha256 for summary in self.run.summaries]
        return content_id([hashes, curation, *fitting], length=16)

    def schema(self, config: str) -> pa.Schema:
        """Return the schema of a config's rows."""
        return self.configs[config].schema

    def read(self, config: str, split: str = "train") -> Iterator[pa.RecordBatch]:
        """Make the rows of a published config."""
        return self.configs[config].derive(self.read_rows(), split, self._choice_for(config))

    def read_rows(self) -> Iterator[pa.RecordBatch]:
        """Read the rows of all shards."""
        yield from keep_rows(_read_files(self.files), self.kept)  # while this is read, it keeps its files

    def splits(self, config: str) -> dict[str, tuple[list[str], Read]]:
        """For each split the files to read, and how; files can be read in any process, in any order."""
        published, choice = self.configs[config], self._choice_for(config)
        run = self.run.model_copy(update={"summaries": [], "shards": {}})  # it goes to other processes
        counts = [summary.ok for summary in self._filled]
        starts = dict(zip(map(str, self.files), accumulate(counts, initial=0), strict=False))
        files = [file for file, rows in zip(starts, counts, strict=True) if rows]
        names = [name for name in published.splits if name != "test" or choice.test]
        return {
            name: (files, partial(_derive, run, config, split=name, choice=choice, starts=starts))
            for name in names
        }

    def _choice_for(self, config: str) -> Choice:
        """Return the choice, which is not made for configs that have all rows."""
        return self.choice if self.configs[config].rows != "all" else Choice(kept=self.kept)


@dataclass(frozen=True, kw_only=True)
class BuiltSource(RowSource):
    """A built folder, of either format."""

    manifest: BuiltManifest

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Instructions that give no pair, by reason, as the manifest has them."""
        return self.manifest.left_out

    @property
    def test(self) -> frozenset[str]:
        """Return ids of the pairs that are kept for testing a reward model, as the folder has them."""
        split = [config.name for config in self.configs.values() if "test" in config.splits]
        batches = (batch for config in split for batch in self.read(config, "test"))
        return frozenset(row for batch in batches for row in batch.column("id").to_pylist())

    def read(self, config: str, split: str = "train") -> Iterator[pa.RecordBatch]:
        """Read the rows of a published config."""
        files = [file for built in self.manifest.configs if built.name == config for file in built.files]
        return _read_files(self.path / file.path for file in files if file.split == split)

    def read_rows(self) -> Iterator[pa.RecordBatch]:
        """Read the config that has all rows beside their provenance, under the run's names.

        Raises:
            StorageError: where the two do not have the same rows.
        """
        first = self.manifest.configs[0].name
        named, recorded = self.configs[first].renamed, self.configs[PROVENANCE.name].renamed
        # Both were written from the same rows in the same order and in batches of the same size.
        for rows, origins in zip_longest(self.read(first), self.read(PROVENANCE.name)):
            if rows is None or origins is None or not rows["id"].equals(origins["id"]):
                hint = "build it again with `multifaceted build`; `multifaceted check` lists every fault"
                fault = f"configs {first!r} and {PROVENANCE.name!r} do not have the same ids"
                raise StorageError(f"{self.path}: {fault}", hint=hint)
            columns = {named.get(name, name): rows[name] for name in rows.schema.names}
            columns |= {recorded.get(name, name): origins[name] for name in origins.schema.names}
            yield pa.RecordBatch.from_pydict(columns)


def open_source(path: Path, *, curated: bool = True, whole: bool = True) -> RowSource:
    """Open a run folder or a built folder.

    Args:
        path: the folder.
        curated: leave out the rows that a run's curation drops, where it has one.
        whole: refuse what is not finished or damaged; else take the rows of a run that are done by now, and
            compare no checksums.

    Raises:
        StorageError: where it is neither, not as wanted, or the curation is of other rows.
    """
    manifest = read_built_manifest(path)
    if manifest is None:
        return open_run(path, curated=curated, whole=whole, verified=whole)
    if whole:
        _refuse_damaged(path, manifest)
    return BuiltSource(
        path=path,
        run=manifest.run,
        curation=manifest.curation,
        fitting=manifest.fitting,
        manifest=manifest,
    )


def open_run(path: Path, *, curated: bool = True, whole: bool = True, verified: bool = True) -> RunSource:
    """Open a run folder, as `open_source` does; `verified` compares checksums, which reads all of it once.

    Rows of open shards are copied, so that they stay the same however often they are read.

    Raises:
        StorageError: where it is not a run, not as wanted, or the curation is of other rows.
    """
    folder = RunFolder(path)
    if whole:
        return _open_curated(path, read_whole_run(folder, verified=verified), curated=curated)
    present = look_at_run(folder, copy_rows=True)
    if verified:
        refuse_damaged(folder, [s for s in present.run.summaries if s.name not in present.open])
    if present.is_whole:
        return _open_curated(path, present.run, curated=curated)
    return RunSource(path=path, run=present.run, open=present.files)


def _open_curated(path: Path, run: RunData, *, curated: bool) -> RunSource:
    found = read_kept(RunFolder(path), run) if curated else None
    if found is None:
        return RunSource(path=path, run=run)
    return RunSource(path=path, run=run, curation=found.summary, kept=found.kept, fitting=found.fitting)


def _read_files(files: Iterable[Path]) -> Iterator[pa.RecordBatch]:
    return (batch for file in files for batch in read_published(file))


def _derive(
    run: RunData, config: str, file: str, *, split: str, choice: Choice, starts: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    kept = None if choice.kept is None else choice.kept.slice(starts[file])
    return configs_of(run)[config].derive(keep_rows(_read_files([Path(file)]), kept), split, choice)


def _refuse_damaged(path: Path, manifest: BuiltManifest) -> None:
    files = [file for config in manifest.configs for file in config.files]
    found = [(path / file.path, verify_file(path / file.path, file.sha256)) for file in files]
    faults = [f"{file} {fault}" for file, fault in found if fault]
    if faults:
        hint = "build it again with `multifaceted build`; `multifaceted check` lists every fault"
        raise StorageError("\n".join(faults), hint=hint)
