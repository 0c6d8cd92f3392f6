"""`provenance`: how each row of `sft`, or of `bench`, was made, under the same id."""

from dataclasses import replace

from pydantic import BaseModel, Field

from multifaceted.export.columns import OriginalSource, RowId
from multifaceted.export.config import PublishedConfig, pick_all
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


PROVENANCE = PublishedConfig(
    "provenance",
    "models, templates, seeds and tokens behind each row",
    ProvenanceRow,
    pick_all,
    takes="records",
)
BENCH_PROVENANCE = replace(PROVENANCE, model=BenchProvenanceRow)
