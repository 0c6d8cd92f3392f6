"""What differs between two built folders: `compare_folders(Path("old"), Path("new"))`.

Rows are matched by id within a config. Only hashes of the fields are kept, so that two collections of the
original's size fit into memory side by side.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from multifaceted.errors import StorageError
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest, read_built_manifest
from multifaceted.store.shards import read_published

SHOWN = 20  # ids that are named of each kind


@dataclass
class ConfigDiff:
    """One config of both folders."""

    rows: tuple[int, int]
    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0  # the same row in another split
    fields: dict[str, int] = field(default_factory=dict)  # in how many rows it changed
    mean_characters: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)  # ids: added, removed, changed


@dataclass(repr=False)
class FolderDiff:
    """Both folders; `configs` holds those that one of them has."""

    configs: dict[str, ConfigDiff]
    failed: tuple[int, int]  # rows
    taxonomy: tuple[str, str]
    models: tuple[str, str]

    def __repr__(self) -> str:
        if self.equal:
            return "<all rows are the same>"
        parts = [
            f"{name} +{found.added:,} -{found.removed:,} ~{found.changed:,}"
            for name, found in self.configs.items()
            if found.added or found.removed or found.changed
        ]
        return f"<rows added, removed, changed: {'; '.join(parts)}>"

    @property
    def equal(self) -> bool:
        """Return whether all rows are the same."""
        return not any(d.added or d.removed or d.changed or d.moved for d in self.configs.values())

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {"equal": self.equal, **asdict(self)}


def compare_folders(old: Path, new: Path) -> FolderDiff:
    """Compare two built folders, of either format.

    Raises:
        StorageError: where one of them is none, or cannot be read.
    """
    first, second = _open(old), _open(new)
    mine, theirs = ({config.name: config for config in m.configs} for m in (first, second))
    return FolderDiff(
        configs={
            name: _compare(_load(old, mine.get(name)), _load(new, theirs.get(name)))
            for name in dict.fromkeys([*mine, *theirs])
        },
        failed=(first.run.failed, second.run.failed),
        taxonomy=(_name_taxonomy(first), _name_taxonomy(second)),
        models=(_name_models(first), _name_models(second)),
    )


def _open(folder: Path) -> BuiltManifest:
    manifest = read_built_manifest(folder)
    if manifest is None:
        hint = "name folders that `multifaceted build` made"
        raise StorageError(f"{folder} is not a built folder", hint=hint)
    return manifest


def _load(folder: Path, config: BuiltConfig | None) -> pl.DataFrame | None:
    """Id, split, and for each field its hash and, for text, its length."""
    if config is None:
        return None
    parts = [
        _digest(pl.DataFrame(pl.from_arrow(batch)), split)
        for split, files in config.splits.items()
        for file in files
        for batch in read_published(folder / file.path)
        if batch.num_rows
    ]
    return pl.concat(parts) if parts else None


def _digest(frame: pl.DataFrame, split: str) -> pl.DataFrame:
    names = [name for name in frame.columns if name != "id"]
    return frame.select(
        "id",
        pl.lit(split).alias("split"),
        *(pl.col(name).hash().alias(f"hash {name}") for name in names),
        *(
            pl.col(name).str.len_chars().alias(f"size {name}")
            for name in names
            if frame[name].dtype == pl.String
        ),
    )


def _compare(old: pl.DataFrame | None, new: pl.DataFrame | None) -> ConfigDiff:
    if old is None or new is None:
        before, now = (0 if frame is None else frame.height for frame in (old, new))
        return ConfigDiff((before, now), added=now, removed=before)
    found = ConfigDiff((old.height, new.height), mean_characters=_compare_lengths(old, new))
    added, removed = new.join(old, on="id", how="anti"), old.join(new, on="id", how="anti")
    found.added, found.removed = added.height, removed.height
    both = old.join(new, on="id", suffix=" new", maintain_order="left")
    fields = [name for name in old.columns if name.startswith("hash ") and name in new.columns]
    differs = both.select("id", *(pl.col(name).ne_missing(pl.col(f"{name} new")) for name in fields))
    changed = differs.filter(pl.any_horizontal(fields)) if fields else differs.clear()
    found.changed = changed.height
    found.moved = both.filter(pl.col("split") != pl.col("split new")).height
    counts = {name.removeprefix("hash "): int(changed[name].sum()) for name in fields}
    found.fields = {name: count for name, count in counts.items() if count}
    frames = {"added": added, "removed": removed, "changed": changed}
    found.examples = {
        name: frame["id"].head(SHOWN).to_list() for name, frame in frames.items() if frame.height
    }
    return found


def _compare_lengths(old: pl.DataFrame, new: pl.DataFrame) -> dict[str, tuple[float | None, float | None]]:
    names = [name for name in old.columns if name.startswith("size ") and name in new.columns]
    return {name.removeprefix("size "): (_mean(old[name]), _mean(new[name])) for name in names}


def _mean(values: pl.Series) -> float | None:
    return float(values.sum()) / len(values) if len(values) else None


def _name_taxonomy(manifest: BuiltManifest) -> str:
    taxonomy = manifest.run.taxonomy
    return f"{taxonomy['name']} {taxonomy['version']} {taxonomy['fingerprint'][:12]}"


def _name_models(manifest: BuiltManifest) -> str:
    return ", ".join(dict.fromkeys(manifest.run.models.values()))
