"""`bench`: the fields of the original Multifaceted Bench, after a leading id."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel, Field

from multifaceted.building.columns import RowId, SystemMessage
from multifaceted.building.config import PublishedConfig, RowCheck, Seen, list_columns, name_ids, pick_all
from multifaceted.records import PreferenceEntry, Rubric


class PublishedBenchRow(BaseModel):
    """One prompt to answer under `system`, and what an answer is judged by.

    The reference answer deserves the score 5. The rubrics are in the order of the preference set.
    """

    id: RowId
    source: str = Field(description="the benchmark that the prompt is from; empty where nothing was said")
    preference_set: list[PreferenceEntry] = Field(
        description="what one reader wants: one entry for each dimension, in the taxonomy's order"
    )
    system: SystemMessage
    prompt: str = Field(description="the prompt, as its source has it")
    reference_answer: str = Field(description="an answer to `system` and `prompt` that deserves a 5")
    rubrics: list[Rubric] = Field(description="one for each preference, in the order of `preference_set`")


def _note_unjudged(batch: pa.RecordBatch) -> Iterator[tuple[str, None]]:
    for row, preferences, rubrics in list_columns(batch, "id", "preference_set", "rubrics"):
        if len(rubrics) != len(preferences):
            yield row, None


def _find_unjudged(name: str, seen: Seen) -> Iterator[str]:
    if seen[name].notes:
        yield f"config {name!r}: {name_ids(list(seen[name].notes))} lack a rubric for a preference"


BENCH = PublishedConfig(
    "bench",
    kind="bench",
    order=10,
    summary="prompt, system message, reference answer and a rubric for each preference",
    model=PublishedBenchRow,
    make=pick_all,
    renamed={"source": "main_source", "reference_answer": "output"},
    takes="columns",
    check=RowCheck(_note_unjudged, _find_unjudged),
    tag="benchmark",
    variable="rows",
)
