"""The manifest, and `run.json` before it: what a run was asked to make and what came of it.

`data` depends only on recipe, inputs and replies; `environment` tells where and with what it was made.
"""

import platform
from collections import Counter
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from multifaceted.errors import StorageError
from multifaceted.fieldtypes import TypeSpec, find_type_faults, parse_nullable, parse_type
from multifaceted.kinds import KindName
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.run_folder import MANIFEST, RunFolder, ShardSummary
from multifaceted.strictmodel import StrictModel

ANEW = "run `multifaceted generate` again with the same recipe and folder: it writes this file anew"


class UsedPrice(StrictModel):
    """What a stage's model cost when the run was last started: USD per million tokens, not cached."""

    input: float
    output: float
    source: str


class AddedColumn(StrictModel):
    """A column that a recipe adds to the rows: of a stage of its own, or a field of instructions it keeps."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")
    type: TypeSpec
    description: str
    record: str = ""  # of a stage: the column of a run's rows that says how it was made

    @field_validator("type")
    @classmethod
    def _check_type(cls, spec: TypeSpec) -> TypeSpec:
        for _, fault in find_type_faults(spec):
            raise ValueError(f"{spec!r} {fault}")
        return spec

    @property
    def annotation(self) -> Any:
        """Return its type in a model of rows; a kept field may be missing."""
        return parse_type(self.type, self.name) if self.record else parse_nullable(self.type)


class RunData(StrictModel):
    """The part that two equal runs share to the byte."""

    kind: KindName = "collection"
    name: str
    recipe: str  # fingerprint of all that rows depend on, the instructions included
    seed: int
    variants: int
    instructions: int
    instructions_per_shard: int
    planned: int
    stages: dict[str, str]  # name → the column that says how it was made, in order
    added: list[AddedColumn] = Field(default_factory=list)  # to what rows of its kind hold, in order
    models: dict[str, str]  # by stage
    sampling: dict[str, dict[str, Any]]
    taxonomy: dict[str, str]  # name, version, fingerprint
    templates: dict[str, str]  # stage, or `repair` → SHA-256 of its text
    mode: Literal["live", "batch"] = "live"
    prices: dict[str, UsedPrice | None] = Field(default_factory=dict)  # None: unknown
    license: str | None = None  # of the collection, as the recipe states it
    language: list[str] = Field(default_factory=list)
    source_licenses: dict[str, str] = Field(default_factory=dict)  # of the instructions, by source
    shards: dict[str, str]  # name → fingerprint, in order
    summaries: list[ShardSummary] = Field(default_factory=list)  # of all shards, once the run is finished

    @property
    def ok(self) -> int:
        """Finished rows."""
        return sum(summary.ok for summary in self.summaries)

    @property
    def failed(self) -> int:
        """Failed rows."""
        return sum(summary.failed for summary in self.summaries)

    @property
    def failures(self) -> dict[str, int]:
        """Return the same by kind."""
        return dict(sum((Counter(summary.failures) for summary in self.summaries), Counter[str]()))

    @property
    def counts(self) -> dict[str, int]:
        """Return its rows: planned = ok + failed + pending, which are not made yet."""
        pending = self.planned - self.ok - self.failed
        return {"planned": self.planned, "ok": self.ok, "failed": self.failed, "pending": pending}


def write_run(folder: RunFolder, data: RunData, environment: dict[str, Any]) -> None:
    """Write `run.json`: what the run in this folder is about to make."""
    write_json(folder.path / "run.json", {"data": data.model_dump(), "environment": environment})


def write_manifest(folder: RunFolder, data: RunData, environment: dict[str, Any]) -> None:
    """Write the marker that says that every shard is finished."""
    write_json(folder.path / MANIFEST, {"data": data.model_dump(), "environment": environment})


def read_run(folder: RunFolder) -> RunData:
    """Return what the run in `folder` was asked to make.

    Raises:
        StorageError: where no run was ever started there.
    """
    data = _read(folder.path / "run.json")
    if data is None:
        hint = f"start one with: multifaceted generate recipe.yaml --run {folder.path}"
        raise StorageError(f"{folder.path} holds no run", hint=hint)
    return data


def read_recipe_file(folder: RunFolder) -> Path:
    """Return where the recipe of the run in `folder` lay when it last started.

    Raises:
        StorageError: where no run was ever started there, or it does not say.
    """
    read_run(folder)
    found = read_json(folder.path / "run.json").get("environment", {}).get("recipe_file")
    if not found:
        message = f"{folder.path / 'run.json'} does not say where the recipe is"
        raise StorageError(message, hint="name it with --recipe")
    return Path(found)


def read_recipe(folder: RunFolder) -> dict[str, Any]:
    """The keys of the recipe that the run in `folder` was last started with; empty where it does not say."""
    content = read_json(folder.path / "run.json") or {}
    found = content.get("environment", {}).get("recipe")
    return found if isinstance(found, dict) else {}


def read_layout(folder: RunFolder) -> int | None:
    """Return how many instructions a shard of this run holds; None for a run that never started.

    A run keeps the layout it started with: cut differently, all of its shards would be made again.
    """
    # Nothing else of it is looked at: another version may have written it, and its journals are paid for.
    content = read_json(folder.path / "run.json")
    try:
        return None if content is None else int(content["data"]["instructions_per_shard"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{folder.path / 'run.json'} is damaged: it has no layout", hint=ANEW) from error


def read_marker(folder: RunFolder) -> RunData | None:
    """Return the marker that says that every shard is finished; None where there is none.

    Raises:
        StorageError: where it cannot be read.
    """
    return _read(folder.path / MANIFEST)


def read_manifest(folder: RunFolder) -> RunData | None:
    """Return the manifest of a finished run; None of one at work, or begun anew with another recipe."""
    manifest, begun = read_marker(folder), _read(folder.path / "run.json")
    return manifest if manifest and begun and manifest.recipe == begun.recipe else None


def read_whole_run(folder: RunFolder, *, verified: bool = True, otherwise: str = "") -> RunData:
    """The manifest of a run that rows can be taken from; `verified` compares the checksums of all rows.

    `otherwise` is what else can be done with a run that is not finished, for the hint.

    Raises:
        StorageError: where the run is not finished, is damaged, or has no row.
    """
    data = read_manifest(folder)
    if data is None:
        hint = f"finish it with: multifaceted generate recipe.yaml --run {folder.path}{otherwise}"
        raise StorageError(f"{folder.path} holds no finished run", hint=hint)
    if verified:
        refuse_damaged(folder, data.summaries)
    if not data.ok:
        hint = f"see {folder.path}/shards/*/failures.jsonl for the reasons"
        raise StorageError(f"{folder.path} has no finished row, all {data.failed} failed", hint=hint)
    return data


def refuse_damaged(folder: RunFolder, summaries: list[ShardSummary]) -> None:
    """Compare the checksums of finished shards.

    Raises:
        StorageError: where the rows of one are not those that were written.
    """
    faults = folder.verify(summaries)
    if faults:
        hint = "run `multifaceted generate` again: the rows come back from the journal"
        raise StorageError("\n".join(faults), hint=hint)


def _read(path: Path) -> RunData | None:
    content = read_json(path)
    if content is None:
        return None
    try:
        return RunData.model_validate(content["data"])
    except (ValidationError, KeyError, TypeError) as error:
        raise StorageError(f"{path} was written by another version or is damaged", hint=ANEW) from error


def describe_environment(recipe: dict[str, Any], file: str, libraries: Iterable[str]) -> dict[str, Any]:
    """With what a run is made or curated; no part of what two equal runs share."""
    return {
        "recipe": recipe,
        "recipe_file": file,
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in libraries},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""  # of an extra that is not installed
