"""`rm`: the pairs as text for a reward model, split by instruction into train and test."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.building.choice import Choice
from multifaceted.building.columns import RowId
from multifaceted.building.config import Batches, PublishedConfig, RowCheck, list_columns
from multifaceted.building.pairs import PairNote, find_pair_faults, iter_pairs
from multifaceted.ids import hash_text
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


def _note_pairs(batch: pa.RecordBatch) -> Iterator[tuple[str, PairNote]]:
    for row, chosen, rejected in list_columns(batch, "id", "chosen", "rejected"):
        yield row, PairNote(None, hash_text(chosen), hash_text(rejected))


RM = PublishedConfig(
    "rm",
    kind="collection",
    order=50,
    summary="the pairs as text, for a reward model",
    model=RewardRow,
    make=_make_pairs,
    splits=("train", "test"),
    rows="pairs",
    check=RowCheck(_note_pairs, find_pair_faults),
    tag="reward-modeling",
)
