"""The kinds of run: what a recipe's `kind` decides, in one table.

Example:
    KINDS["bench"].stages        # preferences, system_message, response, rubric

What is published of each kind stands in `export`.
"""

from dataclasses import dataclass
from typing import Literal

from multifaceted.records import BenchRow, Row, Stage

KindName = Literal["collection", "bench"]

# Stages that ask once for each preference of the set; the others ask once for a row.
PER_PREFERENCE: frozenset[Stage] = frozenset({"rubric"})


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of run.

    Args:
        name: as recipes say it.
        stages: in the order they are asked.
        row: fixes what its shards hold.
        title: name of a run whose recipe gives none.
        variants: rows for each instruction where the recipe does not say.
    """

    name: KindName
    stages: tuple[Stage, ...]
    row: type[Row]
    title: str
    variants: int


COLLECTION = Kind(
    "collection", ("preferences", "system_message", "response"), Row, "multifaceted_collection", variants=3
)
BENCH = Kind("bench", (*COLLECTION.stages, "rubric"), BenchRow, "multifaceted_bench", variants=1)

KINDS: dict[KindName, Kind] = {kind.name: kind for kind in (COLLECTION, BENCH)}
