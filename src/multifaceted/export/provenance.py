"""`provenance`: how each row of `sft`, or of `bench`, was made, under the same id."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.export.choice import Choice
from multifaceted.export.config import Batches, PublishedConfig, pick_columns
from multifaceted.records import StageRecord


class ProvenanceRow(BaseModel):
    """Seeds, taxonomy and, for each stage, model, request key, template hash and tokens."""

    id: str
    instruction_id: str
    variant: int
    seed: int
    seed_preferences: list[str]
    taxonomy_version: str
    taxonomy_fingerprint: str
    preferences: StageRecord
    system_message: StageRecord
    response: StageRecord


class BenchProvenanceRow(ProvenanceRow):
    """The same of a bench; and the original source, for which the original's bench has no field."""

    rubric: list[StageRecord]
    original_source: str


def _publish(model: type[ProvenanceRow]) -> PublishedConfig:
    def derive(rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
        del split, choice
        return (pick_columns(batch, model) for batch in rows)

    return PublishedConfig("provenance", "models, templates, seeds and tokens behind each row", model, derive)


PROVENANCE = _publish(ProvenanceRow)
BENCH_PROVENANCE = _publish(BenchProvenanceRow)
