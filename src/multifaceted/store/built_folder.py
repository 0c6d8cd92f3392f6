"""The built folder's manifest: which files it holds, how many rows in each, and their hashes.

A folder may be a stranger's, from the Hub or a colleague. So a manifest names nothing but files that a built
folder of ours can have: a card, a Croissant file, and the shards of its configs.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from multifaceted.errors import StorageError
from multifaceted.ids import content_id, hash_file
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.curation import CurationSummary
from multifaceted.store.manifest import RunData
from multifaceted.store.output_folder import settle_output
from multifaceted.store.run_folder import MANIFEST
from multifaceted.strictmodel import StrictModel

FileFormat = Literal["arrow", "parquet"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
MAX_MANIFEST = 32 * 1024 * 1024  # bytes; most of a long one are the instructions that give no pair
METADATA = ("README.md", "croissant.json")
MAX_FAULTS = 5  # in one message
_SHARD = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,63})/([a-z]{1,32})-\d{5}-of-\d{5}\.(arrow|parquet)")


class BuiltFile(StrictModel):
    """One published shard."""

    split: str
    path: str  # relative to the folder, with forward slashes
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    # Bytes of its rows as Arrow tables, which is what `datasets` calls a dataset's size.
    memory: int = Field(default=0, ge=0)
    sha256: Sha256


class BuiltConfig(StrictModel):
    """One published config."""

    name: str
    files: list[BuiltFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_paths(self) -> "BuiltConfig":
        for file in self.files:
            found = _SHARD.fullmatch(file.path)
            if found is None or found.group(1, 2) != (self.name, file.split):
                raise ValueError(f"{file.path!r} is not a shard of {self.name!r}, {file.split!r}")
        return self

    @property
    def splits(self) -> dict[str, list[BuiltFile]]:
        """Return its files by split, in order."""
        splits: dict[str, list[BuiltFile]] = {}
        for file in self.files:
            splits.setdefault(file.split, []).append(file)
        return splits

    @property
    def split_rows(self) -> dict[str, int]:
        """Return how many rows each split has."""
        return {name: sum(file.rows for file in files) for name, files in self.splits.items()}

    @property
    def rows(self) -> int:
        """Return how many rows all its files have."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> str:
        """Return the digest of the content: equal ones, equal rows. The card has it, where caches look."""
        return content_id(["config", self.name, [file.sha256 for file in self.files]], length=16)


class BuiltManifest(StrictModel):
    """`manifest.json` of a built folder. Only what depends on recipe, inputs and replies."""

    kind: Literal["multifaceted-built"] = "multifaceted-built"
    name: str
    file_format: FileFormat
    configs: list[BuiltConfig] = Field(min_length=1)
    absent: list[str] = Field(default_factory=list)  # configs that have no row
    left_out: dict[str, list[str]] = Field(default_factory=dict)  # instructions that give no pair, by reason
    # Row → siblings whose responses judges found nothing to reject beside its own
    fitting: dict[str, list[str]] = Field(default_factory=dict)
    curation: CurationSummary | None = None  # None: no row was left out but those that failed
    metadata: dict[str, Sha256] = Field(default_factory=dict)  # of the files beside the shards
    # Planned rows that were not made when it was built; the run was finished where there are none.
    pending: int = 0
    run: RunData

    @model_validator(mode="after")
    def _check_files(self) -> "BuiltManifest":
        # Disks that do not tell A from a would hold one file where the manifest names two.
        for what in ([c.name for c in self.configs], [f.path for c in self.configs for f in c.files]):
            doubled = [name for name, count in Counter(map(str.lower, what)).items() if count > 1]
            if doubled:
                raise ValueError(f"names {doubled[0]!r} more than once")
        wrong = [f.path for c in self.configs for f in c.files if not f.path.endswith(f".{self.file_format}")]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a {self.file_format} file")
        strange = sorted(self.metadata.keys() - {*METADATA})
        if strange:
            raise ValueError(f"names {strange[0]!r}, which is not a file of a built folder")
        return self

    @property
    def made(self) -> str:
        """Return how many of the planned rows the run had made, in words."""
        return f"{self.run.planned - self.pending:,} of {self.run.planned:,} planned rows were made"

    @property
    def digest(self) -> str:
        """Return what names the content of the whole folder."""
        return content_id(["folder", [config.digest for config in self.configs]], length=16)


def write_built_manifest(folder: Path, manifest: BuiltManifest) -> None:
    """Write the manifest, the last file of a folder."""
    write_json(folder / MANIFEST, manifest.model_dump())


def read_built_files(folder: Path) -> dict[str, str] | None:
    """Return the SHA-256 of each file of a built folder, by path; None where the folder is none of ours.

    Raises:
        StorageError: where it claims to be one, and is damaged.
    """
    manifest = read_built_manifest(folder)
    if manifest is None:
        return None
    shards = {file.path: file.sha256 for config in manifest.configs for file in config.files}
    return {**shards, **manifest.metadata, MANIFEST: hash_file(folder / MANIFEST)}


def read_built_manifest(folder: Path) -> BuiltManifest | None:
    """Return the manifest of a built folder; None where the folder is none of ours.

    Raises:
        StorageError: where it claims to be one, and is damaged.
    """
    settle_output(folder)
    path = folder / MANIFEST
    if path.is_file() and (size := path.stat().st_size) > MAX_MANIFEST:
        raise StorageError(f"{path} is not a manifest of multifaceted: it has {size:,} bytes")
    data = read_json(path)
    if not isinstance(data, dict) or data.get("kind") != "multifaceted-built":
        return None
    try:
        return BuiltManifest.model_validate(data)
    except ValidationError as error:
        raise StorageError(
            f"{path} is damaged, or was not written by multifaceted: {describe_faults(error)}"
        ) from error


def describe_faults(error: ValidationError) -> str:
    """Return what is wrong with a manifest, in a line."""
    found: list[Any] = error.errors(include_url=False, include_input=False)
    named = [": ".join([".".join(map(str, d["loc"])), d["msg"]]).removeprefix(": ") for d in found]
    more = [f"and {len(named) - MAX_FAULTS:,} more"] if len(named) > MAX_FAULTS else []
    return "; ".join([*(name.replace("Value error, ", "") for name in named[:MAX_FAULTS]), *more])
