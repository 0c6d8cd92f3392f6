"""`rm`: the pairs as text for a reward model, split by instruction into train and test."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.export.choice import Choice
from multifaceted.export.columns import RowId
from multifaceted.export.config import Batches, PublishedConfig
from multifaceted.export.pairs import iter_pairs
from multifaceted.store.record_batches import make_batches


class RewardRow(BaseModel):
    """`input` is system message, line feed and instruction, as the paper's prompt form joins them."""

    id: RowId
    input: str = Field(description="system message, line feed, instruction")
    chosen: str = Field(description="the response to that system message")
    rejected: str = Field(description="the response to another system message of the same instruction")


def _make_pairs(
    config: PublishedConfig, rows: Batches, split: str, choice: Choice
) -> Iterator[pa.RecordBatch]:
    del config
    pairs = iter_pairs(rows, choice, "test" if split == "test" else "train")
    return make_batches(
        (
            RewardRow(
                id=chosen["id"],
                input=f"{chosen['system']}\n{chosen['prompt']}",
                chosen=chosen["output"],
                rejected=rejected["output"],
            )
            for chosen, rejected in pairs
        ),
        RewardRow,
    )


RM = PublishedConfig(
    "rm", "the pairs as text, for a reward model", RewardRow, _make_pairs, ("train", "test"), chosen=True
)
