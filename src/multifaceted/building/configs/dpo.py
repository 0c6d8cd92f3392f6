"""`dpo`: for one system message of each instruction, a response to it and a response to another."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.building.choice import Choice
from multifaceted.building.columns import MainSource, OriginalSource, Prompt, RowId, SystemMessage
from multifaceted.building.config import Batches, PublishedConfig, RowCheck, list_columns
from multifaceted.building.pairs import PairNote, find_pair_faults, iter_pairs
from multifaceted.ids import hash_text
from multifaceted.store.record_batches import make_batches


class Turn(BaseModel):
    """One chat turn."""

    content: str = Field(description="the text of the turn")
    role: str = Field(description="`user` or `assistant`")


class PairRow(BaseModel):
    """Two conversations that begin alike: a user turn with `prompt`, then the assistant's response."""

    id: RowId
    main_source: MainSource
    original_source: OriginalSource
    system: SystemMessage
    prompt: Prompt
    chosen: list[Turn] = Field(description="`prompt`, then the response to `system`")
    rejected: list[Turn] = Field(
        description="`prompt`, then the response to another system message of the same instruction"
    )


def make_pairs(
    config: PublishedConfig, rows: Batches, split: str, choice: Choice
) -> Iterator[pa.RecordBatch]:
    """Make a row of each pair of a run, whatever the split."""
    del config, split
    return make_batches((_to_row(*pair) for pair in iter_pairs(rows, choice)), PairRow)


def _to_row(chosen: dict[str, Any], rejected: dict[str, Any]) -> PairRow:
    def converse(response: str) -> list[Turn]:
        return [Turn(content=chosen["prompt"], role="user"), Turn(content=response, role="assistant")]

    return PairRow(
        id=chosen["id"],
        main_source=chosen["main_source"],
        original_source=chosen["original_source"],
        system=chosen["system"],
        prompt=chosen["prompt"],
        chosen=converse(chosen["output"]),
        rejected=converse(rejected["output"]),
    )


def _note_pairs(batch: pa.RecordBatch) -> Iterator[tuple[str, PairNote]]:
    for row, system, chosen, rejected in list_columns(batch, "id", "system", "chosen", "rejected"):
        responses = (hash_text(turns[-1]["content"]) for turns in (chosen, rejected))
        yield row, PairNote(hash_text(system), *responses)


PAIR_CHECK = RowCheck(_note_pairs, find_pair_faults)
DPO = PublishedConfig(
    "dpo",
    kind="collection",
    order=30,
    summary="a system message, a response to it, and one to another",
    model=PairRow,
    make=make_pairs,
    rows="pairs",
    check=PAIR_CHECK,
    tag="dpo",
    variable="pairs",
    trains="preference",
)
