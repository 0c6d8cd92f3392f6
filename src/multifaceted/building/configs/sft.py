"""`sft`: the fields of the original Multifaceted Collection, after a leading id."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.building.columns import MainSource, OriginalSource, Prompt, RowId, SystemMessage
from multifaceted.building.config import PublishedConfig, RowCheck, list_columns, pick_all
from multifaceted.ids import hash_text
from multifaceted.records import PreferenceEntry


class SftRow(BaseModel):
    """One training example: follow `system` when answering `prompt`, as `output` does."""

    id: RowId
    main_source: MainSource
    original_source: OriginalSource
    preference_set: list[PreferenceEntry] = Field(
        description="what one reader wants: one entry for each dimension, in the taxonomy's order"
    )
    system: SystemMessage
    prompt: Prompt
    output: str = Field(description="the gold response to `system` and `prompt`")


def _note_texts(batch: pa.RecordBatch) -> Iterator[tuple[str, tuple[str, str]]]:
    """Hashes of system message and response, which the pairs are compared with."""
    for row, system, output in list_columns(batch, "id", "system", "output"):
        yield row, (hash_text(system), hash_text(output))


SFT = PublishedConfig(
    "sft",
    kind="collection",
    order=10,
    summary="instruction, system message and gold response",
    model=SftRow,
    make=pick_all,
    takes="columns",
    check=RowCheck(_note_texts),
    tag="sft",
    variable="rows",
    trains="completion",
)
