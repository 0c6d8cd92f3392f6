"""`bench`: the fields of the original Multifaceted Bench, after a leading id."""

from collections.abc import Iterator

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.export.choice import Choice
from multifaceted.export.config import Batches, PublishedConfig, pick_columns
from multifaceted.records import PreferenceEntry, Rubric

RENAMED = {"source": "main_source", "reference_answer": "output"}  # published name → that in the run


class PublishedBenchRow(BaseModel):
    """One prompt to answer under `system`, and what an answer is judged by.

    The reference answer deserves the score 5. The rubrics are in the order of the preference set.
    """

    id: str
    source: str
    preference_set: list[PreferenceEntry]
    system: str
    prompt: str
    reference_answer: str
    rubrics: list[Rubric]


def _derive(rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
    del split, choice
    return (pick_columns(batch, PublishedBenchRow, RENAMED) for batch in rows)


BENCH = PublishedConfig(
    "bench",
    "prompt, system message, reference answer and a rubric for each preference",
    PublishedBenchRow,
    _derive,
)
