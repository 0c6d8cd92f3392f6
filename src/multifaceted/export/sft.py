"""`sft`: the fields of the original Multifaceted Collection, after a leading id."""

from pydantic import BaseModel

from multifaceted.export.config import PublishedConfig
from multifaceted.records import PreferenceEntry


class SftRow(BaseModel):
    """One training example: follow `system` when answering `prompt`, as `output` does."""

    id: str
    main_source: str
    original_source: str
    preference_set: list[PreferenceEntry]
    system: str
    prompt: str
    output: str


SFT = PublishedConfig("sft", "instruction, system message and gold response", SftRow)
