"""`provenance`: how each row of `sft`, or of `bench`, was made, under the same id."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.export.choice import Choice
from multifaceted.export.columns import OriginalSource, RowId
from multifaceted.export.config import Batches, PublishedConfig, pick_columns
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


def _publish(model: type[ProvenanceRow]) -> PublishedConfig:
    def derive(rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
        del split, choice
        return (pick_columns(batch, model) for batch in rows)

    return PublishedConfig("provenance", "models, templates, seeds and tokens behind each row", model, derive)


PROVENANCE = _publish(ProvenanceRow)
BENCH_PROVENANCE = _publish(BenchProvenanceRow)
