"""The kinds of run: what a recipe's `kind` decides, in one table.

Example:
    KINDS["bench"].stages        # preferences, system_message, response, rubric

What is published of each kind stands in `export`.
"""

from dataclasses import dataclass
from typing import Literal

from multifaceted.stages import PREFERENCES, RESPONSE, RUBRIC, SYSTEM_MESSAGE, Stage

KindName = Literal["collection", "bench"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of run."""

    name: KindName  # as recipes say it
    stages: tuple[Stage, ...]  # in the order they are asked; a recipe may add its own
    title: str  # name of a run whose recipe gives none
    variants: int  # rows for each instruction where the recipe does not say


COLLECTION = Kind(
    "collection", (PREFERENCES, SYSTEM_MESSAGE, RESPONSE), "multifaceted_collection", variants=3
)
BENCH = Kind("bench", (*COLLECTION.stages, RUBRIC), "multifaceted_bench", variants=1)

KINDS: dict[KindName, Kind] = {kind.name: kind for kind in (COLLECTION, BENCH)}
