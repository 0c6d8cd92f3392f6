"""`provenance`: how each row of `sft`, or of `bench`, was made, under the same id."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.building.columns import OriginalSource, RowId
from multifaceted.building.config import PublishedConfig, RowCheck, Seen, list_columns, pick_all
from multifaceted.records import StageRecord


class ProvenanceRow(BaseModel):
    """Seeds, taxonomy and, for each stage, model, request key, template hash and tokens."""

    id: RowId
    instruction_id: str = Field(description="the instruction's id, equal in all its variants")
    variant: int = Field(description="which of the instruction's preference sets, from 1")
    seed: int = Field(description="of the row; each stage derives its own from it")
    seed_preferences: list[str] = Field(
        description="ids of the preferences drawn from the taxonomy, one for each dimension"
    )
    taxonomy_version: str = Field(description="semantic version of the taxonomy")
    taxonomy_fingerprint: str = Field(description="SHA-256 of the taxonomy's content")
    preferences: StageRecord = Field(description="how the preference set was specified")
    system_message: StageRecord = Field(description="how the system message was written")
    response: StageRecord = Field(description="how the response was written")


class BenchProvenanceRow(ProvenanceRow):
    """The same of a bench; and the original source, for which the original's bench has no field."""

    rubric: list[StageRecord] = Field(description="how each rubric was written, in their order")
    original_source: OriginalSource


def _note_instructions(batch: pa.RecordBatch) -> Iterator[tuple[str, str]]:
    return ((row, instruction) for row, instruction in list_columns(batch, "id", "instruction_id"))


def _compare_ids(name: str, seen: Seen) -> Iterator[str]:
    default = next(iter(seen))
    if set(seen[name].notes) != seen[default].rows:
        yield f"configs {default!r} and {name!r} do not have the same ids"


PROVENANCE = PublishedConfig(
    "provenance",
    kind="collection",
    order=90,
    summary="models, templates, seeds and tokens behind each row",
    model=ProvenanceRow,
    make=pick_all,
    takes="records",
    check=RowCheck(_note_instructions, _compare_ids),
    variable="origins",
)
BENCH_PROVENANCE = replace(PROVENANCE, kind="bench", model=BenchProvenanceRow)
