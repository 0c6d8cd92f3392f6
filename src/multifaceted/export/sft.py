"""`sft` and `sft_small`: the fields of the original Multifaceted Collection, after a leading id."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, Field

from multifaceted.export.choice import Choice
from multifaceted.export.columns import MainSource, OriginalSource, Prompt, RowId, SystemMessage
from multifaceted.export.config import Batches, PublishedConfig, pick_all
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


def _pick_small(
    config: PublishedConfig, rows: Batches, split: str, choice: Choice
) -> Iterator[pa.RecordBatch]:
    del split
    chosen = pa.array(sorted(choice.small), pa.string())
    for batch in rows:
        yield config.pick(batch.filter(pc.is_in(batch.column("id"), value_set=chosen)))


SFT = PublishedConfig(
    "sft", "instruction, system message and gold response", SftRow, pick_all, takes="columns"
)
SFT_SMALL = PublishedConfig(
    "sft_small",
    "the same, one variant of each instruction",
    SftRow,
    _pick_small,
    chosen=True,
    takes="columns",
)
