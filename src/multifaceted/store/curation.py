"""The curation record beside a run: which rows are kept, and why the others are not.

RUN/curation/
├── record.parquet     a line for each row of the run, in its order
├── judges.sqlite      every raw reply of models that were asked, where there are any
├── batches/           of judges that are asked by batch; questions/NAME/batches/ of questions
├── retry.json         while judges are asked again: which record asked for it
└── curation.json      written last: which rows the record speaks of, and its SHA-256

It belongs to the very rows it was made from; of others it says nothing, and is called stale.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import polars as pl
import pyarrow as pa
from pydantic import Field, ValidationError

from multifaceted.errors import StorageError
from multifaceted.ids import hash_file
from multifaceted.store.atomic import held_folder, read_json, write_json
from multifaceted.store.manifest import RunData
from multifaceted.store.output_folder import Owned, replaced_output, settle_output
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.shards import verify_file
from multifaceted.strictmodel import StrictModel

FOLDER = "curation"
RECORD, MARKER, JUDGES, RETRY = "record.parquet", "curation.json", "judges.sqlite", "retry.json"
KEEP, DROP = "keep", "drop"
# The finding that a sibling's response is nothing to reject beside the row's own
REJECTED_FITS = "rejected_fits"

FINDING = pl.Struct(
    {
        "reason": pl.String,  # name of the filter
        "action": pl.String,  # drop or note
        "score": pl.Float64,  # null where the filter gives none
        "partner": pl.String,  # id of the row it was compared with
        "detail": pl.String,
    }
)
SCORE = pl.Struct({"judge": pl.String, "dimension": pl.String, "score": pl.Int64})
RECORD_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "instruction_id": pl.String(),
    "verdict": pl.String(),
    "reasons": pl.List(pl.String),  # those that dropped it
    "findings": pl.List(FINDING),
    "scores": pl.List(SCORE),
}


class CurationSummary(StrictModel):
    """What a published folder says of the curation of its run."""

    recipe: str  # fingerprint of all filters with their parameters, and of the judges
    kept: int
    dropped: int
    reasons: dict[str, int]  # name of a filter → rows it dropped; a row may have several reasons


class CurationData(CurationSummary):
    """The data part of `curation.json`; equal for equal rows and recipes."""

    kind: Literal["multifaceted-curation"] = "multifaceted-curation"
    notes: dict[str, int]  # the same of filters that only take note
    filters: dict[str, dict[str, Any]]  # name → parameters
    questions: dict[str, Any] = Field(default_factory=dict)  # name → what was answered, in numbers
    judges: dict[str, Any] = Field(default_factory=dict)  # what judges said, in numbers
    shards: dict[str, str]  # name → SHA-256 of the rows
    record: str  # SHA-256 of record.parquet

    @property
    def summary(self) -> CurationSummary:
        """Return the part that is published."""
        return CurationSummary(**{name: getattr(self, name) for name in CurationSummary.model_fields})

    def find_fault(self, run: RunData | None) -> str:
        """Return why this does not speak of the rows of a run; empty where it does."""
        if run is None:
            return "the run is not finished since"
        if self.shards != {summary.name: summary.sha256 for summary in run.summaries}:
            return "rows have changed since"
        if self.kept + self.dropped != run.ok:
            return f"{self.kept} rows kept and {self.dropped} dropped are not the {run.ok} of the run"
        return ""


def curation_folder(folder: RunFolder) -> Path:
    """Return where the curation of a run lies."""
    return folder.path / FOLDER


def lock_curation(path: Path) -> AbstractContextManager[None]:
    """Hold a curation folder while judges write to its journal.

    Raises:
        LockedError: where another process holds it.
    """
    return held_folder(path, busy=f"another process curates in {path}", hint="wait until it is done")


def write_curation(
    path: Path, record: pl.DataFrame, data: CurationData, environment: dict[str, Any]
) -> CurationData:
    """Write the record of a curation and its marker; gives the data with the record's SHA-256.

    Raises:
        StorageError: where a file of somebody is in the way.
    """
    with replaced_output(path, command="curate", marker=MARKER, read_owned=_read_owned) as fresh:
        record.write_parquet(fresh / RECORD)
        data = data.model_copy(update={"record": hash_file(fresh / RECORD)})
        write_json(fresh / MARKER, {"data": data.model_dump(mode="json"), "environment": environment})
    return data


def _read_owned(path: Path) -> Owned | None:
    if not (path / MARKER).exists():
        return None if (path / RECORD).exists() else {}
    try:
        data = read_curation(path)
    except StorageError:  # ours and damaged, or of somebody: kept aside
        return {MARKER: "", RECORD: ""}
    return {MARKER: hash_file(path / MARKER), RECORD: data.record if data else ""}


def read_curation(path: Path) -> CurationData | None:
    """Return what a curation folder holds; None where nothing was ever curated there.

    Raises:
        StorageError: where it is damaged.
    """
    settle_output(path)
    content = read_json(path / MARKER)
    if content is None:
        return None
    try:
        return CurationData.model_validate(content["data"])
    except (ValidationError, KeyError, TypeError) as error:
        hint = "curate again"
        raise StorageError(
            f"{path / MARKER} was written by another version or is damaged", hint=hint
        ) from error


def read_recipe_of(path: Path) -> str:
    """Return the recipe file that a curation was made with; empty for the default recipe."""
    content = read_json(path / MARKER)
    return str(content.get("environment", {}).get("recipe_file", "")) if isinstance(content, dict) else ""


def curate_again(folder: RunFolder) -> str:
    """Return the command that brings the curation of a run up to date."""
    recipe = read_recipe_of(curation_folder(folder))
    return f"multifaceted curate {folder.path}" + (f" --recipe {recipe}" if recipe else "")


def find_curation_faults(folder: RunFolder, run: RunData | None) -> list[str]:
    """Return what is wrong with the curation of a run; empty where nothing is, or there is none."""
    path = curation_folder(folder)
    try:
        data = read_curation(path)
    except StorageError as error:
        return [error.message]
    if data is None:
        return [f"{path / RECORD} has no {MARKER}"] if (path / RECORD).exists() else []
    stale = data.find_fault(run)
    damaged = verify_file(path / RECORD, data.record)
    return [
        *([f"the curation in {path} is stale: {stale}"] if stale else []),
        *([f"{path / RECORD} {damaged}"] if damaged else []),
    ]


class Kept(NamedTuple):
    """What `build` takes from a curation."""

    summary: CurationSummary
    kept: pa.BooleanArray  # of each row of the run, in order
    fitting: dict[str, list[str]]  # row → siblings whose responses are nothing to reject beside its own


def describe_curation(folder: RunFolder, run: RunData | None) -> dict[str, object] | None:
    """Return what `status` says of the curation of a run; None where it was never curated."""
    data = read_curation(curation_folder(folder))
    if data is None:
        return None
    return {
        "kept": data.kept,
        "dropped": data.dropped,
        "reasons": data.reasons,
        "stale": data.find_fault(run),
        "again": curate_again(folder),
    }


def read_kept(folder: RunFolder, run: RunData) -> Kept | None:
    """Return which rows of a run its curation keeps; None where it was never curated.

    Raises:
        StorageError: where it is stale or damaged.
    """
    faults = find_curation_faults(folder, run)
    if faults:
        hint = f"run `{curate_again(folder)}`, or build all rows with --no-curation"
        raise StorageError("\n".join(faults), hint=hint)
    path = curation_folder(folder)
    data = read_curation(path)
    if data is None:
        return None
    record = read_record(path)
    return Kept(data.summary, record["verdict"].eq(KEEP).rechunk().to_arrow(), _read_fitting(record))


def _read_fitting(record: pl.DataFrame) -> dict[str, list[str]]:
    found = record.select("id", pl.col("findings")).explode("findings").unnest("findings")
    fitting = (
        found.filter(pl.col("reason") == REJECTED_FITS)
        .group_by("id", maintain_order=True)
        .agg(pl.col("partner").sort())
    )
    return dict(fitting.iter_rows())


def read_record(path: Path) -> pl.DataFrame:
    """Return the record of a curation folder.

    Raises:
        StorageError: where it cannot be read.
    """
    try:
        return pl.read_parquet(path / RECORD)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StorageError(f"{path / RECORD} cannot be read: {error}", hint="curate again") from error
