"""`bench`: the fields of the original Multifaceted Bench, after a leading id."""

from pydantic import BaseModel, Field

from multifaceted.export.columns import RowId, SystemMessage
from multifaceted.export.config import PublishedConfig, pick_all
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


BENCH = PublishedConfig(
    "bench",
    "prompt, system message, reference answer and a rubric for each preference",
    PublishedBenchRow,
    pick_all,
    renamed={"source": "main_source", "reference_answer": "output"},
    takes="columns",
)
