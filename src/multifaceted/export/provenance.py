"""`provenance`: how each row of `sft` was made, under the same id."""

from pydantic import BaseModel

from multifaceted.export.config import PublishedConfig
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


PROVENANCE = PublishedConfig(
    "provenance", "models, templates, seeds and tokens behind each row", ProvenanceRow
)
