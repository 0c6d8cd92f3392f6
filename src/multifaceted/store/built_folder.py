"""The built folder's manifest: which files it holds, how many rows in each, and their hashes."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from multifaceted.errors import StorageError
from multifaceted.ids import content_id, hash_file
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.curation import CurationSummary
from multifaceted.store.manifest import RunData
from multifaceted.store.output_folder import settle_output
from multifaceted.store.run_folder import MANIFEST
from multifaceted.strictmodel import StrictModel

FileFormat = Literal["arrow", "parquet"]


class BuiltFile(StrictModel):
    """One published shard."""

    split: str
    path: str  # relative to the folder, with forward slashes
    rows: int
    bytes: int
    memory: int = 0  # bytes of its rows as Arrow tables, which is what `datasets` calls a dataset's size
    sha256: str


class BuiltConfig(StrictModel):
    """One published config."""

    name: str
    files: list[BuiltFile]

    @property
    def splits(self) -> dict[str, list[BuiltFile]]:
        """Its files by split, in order."""
        splits: dict[str, list[BuiltFile]] = {}
        for file in self.files:
            splits.setdefault(file.split, []).append(file)
        return splits

    @property
    def split_rows(self) -> dict[str, int]:
        """Rows by split."""
        return {name: sum(file.rows for file in files) for name, files in self.splits.items()}

    @property
    def rows(self) -> int:
        """Rows of all its files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> str:
        """Names the content: equal digests, equal rows. It goes into the card, where caches look."""
        return content_id(["config", self.name, [file.sha256 for file in self.files]], length=16)


class BuiltManifest(StrictModel):
    """`manifest.json` of a built folder. Only what depends on recipe, inputs and replies."""

    kind: Literal["multifaceted-built"] = "multifaceted-built"
    name: str
    file_format: FileFormat
    configs: list[BuiltConfig]
    absent: list[str] = Field(default_factory=list)  # configs that have no row
    left_out: dict[str, list[str]] = Field(default_factory=dict)  # instructions that give no pair, by reason
    curation: CurationSummary | None = None  # None: no row was left out but those that failed
    metadata: dict[str, str] = Field(default_factory=dict)  # SHA-256 of the files beside the shards, by name
    # Planned rows that were not made when it was built; the run was whole where there are none.
    pending: int = 0
    run: RunData

    @property
    def made(self) -> str:
        """How many of the planned rows the run had made, in words."""
        return f"{self.run.planned - self.pending:,} of {self.run.planned:,} planned rows were made"

    @property
    def digest(self) -> str:
        """Names the content of the whole folder."""
        return content_id(["folder", [config.digest for config in self.configs]], length=16)


def write_built_manifest(folder: Path, manifest: BuiltManifest) -> None:
    """Write the manifest, the last file of a folder."""
    write_json(folder / MANIFEST, manifest.model_dump())


def read_built_files(folder: Path) -> dict[str, str] | None:
    """The SHA-256 of each file of a built folder, by path; None where the folder is none of ours.

    Raises:
        StorageError: where it claims to be one, and is damaged.
    """
    manifest = read_built_manifest(folder)
    if manifest is None:
        return None
    shards = {file.path: file.sha256 for config in manifest.configs for file in config.files}
    return {**shards, **manifest.metadata, MANIFEST: hash_file(folder / MANIFEST)}


def read_built_manifest(folder: Path) -> BuiltManifest | None:
    """The manifest of a built folder; None where the folder is none of ours.

    Raises:
        StorageError: where it claims to be one, and is damaged.
    """
    settle_output(folder)
    data = read_json(folder / MANIFEST)
    if not isinstance(data, dict) or data.get("kind") != "multifaceted-built":
        return None
    try:
        return BuiltManifest.model_validate(data)
    except ValidationError as error:
        raise StorageError(f"{folder / MANIFEST} is damaged: {error}") from error
