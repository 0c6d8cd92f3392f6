"""Rows of a run or of a built folder, in one shape: `read_source(Path("run"))`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa

from multifaceted.errors import StorageError
from multifaceted.export import Choice, choose
from multifaceted.export.bench import RENAMED
from multifaceted.export.choice import keep_rows
from multifaceted.store.built_folder import BuiltManifest, read_built_manifest
from multifaceted.store.curation import CurationSummary, read_kept
from multifaceted.store.manifest import RunData, read_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import read_published

TEXTS = ("system", "prompt", "output")
COLUMNS = (
    "id",
    "instruction_id",
    "variant",
    "main_source",
    "original_source",
    "preference_set",
    *TEXTS,
    "seed_preferences",
)


@dataclass(frozen=True)
class Source:
    """Where rows come from. `batches` may be gone through several times."""

    path: Path
    run: RunData
    batches: Callable[[], Iterator[pl.DataFrame]]
    choice: Choice
    counts: dict[str, int]  # planned = ok + failed + pending
    failures: dict[str, int] = field(default_factory=dict)  # kind → rows
    curation: CurationSummary | None = None  # `batches` are without the rows that it drops

    @property
    def stages(self) -> dict[str, str]:
        """Its stages, and the column that says how each was made."""
        return self.run.stages


def read_source(path: Path, *, curated: bool = True) -> Source:
    """Open a run folder, whole or at work, or a built folder.

    Args:
        path: the folder.
        curated: leave out the rows that the run's curation drops, where it has one.

    Raises:
        StorageError: where it is neither, or holds no rows.
    """
    built = read_built_manifest(path)
    source = _open_run(path, curated=curated) if built is None else _open_built(path, built)
    if next(source.batches(), None) is None:
        hint = "rows come with the first whole shard; where curation drops them all: --no-curation"
        raise StorageError(f"{path} has no rows to look at", hint=hint)
    return source


def _open_run(path: Path, *, curated: bool) -> Source:
    folder = RunFolder(path)
    data = read_run(folder)
    found = [folder.finished(name) for name in data.shards]
    whole = [s for s in found if s is not None and s.fingerprint == data.shards[s.name]]
    files = [folder.rows_file(summary.name) for summary in whole]
    ok, failed = sum(s.ok for s in whole), sum(s.failed for s in whole)
    failures: dict[str, int] = {}
    for summary in whole:
        for kind, rows in summary.failures.items():
            failures[kind] = failures.get(kind, 0) + rows
    names = [*COLUMNS, *data.stages.values()]
    seen = data.model_copy(update={"summaries": whole})
    curation = read_kept(folder, seen) if curated and len(whole) == len(found) else None
    kept = curation.kept if curation else None
    return Source(
        path=path,
        run=data,
        batches=lambda: (
            _frame(batch.select(names)) for batch in keep_rows(_read(files), kept) if batch.num_rows
        ),
        choice=choose(_read(files), data.seed, kept=kept),
        curation=curation.summary if curation else None,
        counts={"planned": data.planned, "ok": ok, "failed": failed, "pending": data.planned - ok - failed},
        failures=failures,
    )


def _open_built(path: Path, manifest: BuiltManifest) -> Source:
    first = manifest.configs[0].name  # the default one, which has all rows
    files = {config.name: [path / file.path for file in config.files] for config in manifest.configs}
    rows, origins = files[first], files.get("provenance", [])
    renamed = RENAMED if first == "bench" else {}
    names = [*COLUMNS, *manifest.run.stages.values()]

    def batches() -> Iterator[pl.DataFrame]:
        # Both were written from the same rows in the same order and in batches of the same size.
        for left, right in zip(_read(rows), _read(origins), strict=True):
            frame = (
                _frame(left).rename(renamed).join(_frame(right), on="id", how="left", maintain_order="left")
            )
            yield frame.select(names)

    data = manifest.run
    failures: dict[str, int] = {}
    for summary in data.summaries:
        for kind, count in summary.failures.items():
            failures[kind] = failures.get(kind, 0) + count
    return Source(
        path=path,
        run=data,
        batches=batches,
        choice=choose((_batch(frame) for frame in batches()), data.seed),
        curation=manifest.curation,
        counts={"planned": data.planned, "ok": data.ok, "failed": data.failed, "pending": 0},
        failures=failures,
    )


def _read(files: list[Path]) -> Iterator[pa.RecordBatch]:
    return (batch for file in files for batch in read_published(file) if batch.num_rows)


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(batch))


def _batch(frame: pl.DataFrame) -> pa.RecordBatch:
    table = frame.select("id", "instruction_id", "system", "output").to_arrow()
    return table.combine_chunks().to_batches()[0]
