"""`dpo` and `orpo`: for one system message of each instruction, a response to it and one to another.

Both are published, as the original has them. Their rows are the same here: the original's differ in what its
authors filtered out of each.
"""

from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.export.choice import Choice
from multifaceted.export.columns import MainSource, OriginalSource, Prompt, RowId, SystemMessage
from multifaceted.export.config import Batches, PublishedConfig
from multifaceted.store.record_batches import make_batches

_COLUMNS = ("id", "main_source", "original_source", "system", "prompt", "output")


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


def iter_pairs(
    rows: Batches, choice: Choice, split: Literal["train", "test", "all"] = "all"
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each pair's chosen and rejected row, in the order of the run."""
    wanted = {
        row: chosen
        for chosen, rejected in choice.rejected.items()
        if split == "all" or (chosen in choice.test) == (split == "test")
        for row in (chosen, rejected)
    }
    waiting: dict[str, dict[str, Any]] = {}  # the first of two rows; they stand close together
    for batch in rows:
        for row in batch.select(_COLUMNS).to_pylist():
            chosen = wanted.get(row["id"])
            if chosen is None:
                continue
            other = waiting.pop(chosen, None)
            if other is None:
                waiting[chosen] = row
            else:
                yield (row, other) if row["id"] == chosen else (other, row)


def _make_pairs(
    config: PublishedConfig, rows: Batches, split: str, choice: Choice
) -> Iterator[pa.RecordBatch]:
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


DPO = PublishedConfig(
    "dpo", "a system message, a response to it, and one to another", PairRow, _make_pairs, chosen=True
)
ORPO = PublishedConfig("orpo", "the pairs of `dpo`", PairRow, _make_pairs, chosen=True)
