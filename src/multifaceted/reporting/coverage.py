"""Which parts of the taxonomy the rows use, and what the model coined beyond it.

A row names a subdimension and a preference for each dimension. Names are matched without regard to case and
white space; what matches nothing of the taxonomy was coined by the model.
"""

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from multifaceted.taxonomy import Taxonomy

MOST_COINED = 5000  # different coined preferences that are listed; beyond, they are only counted


@dataclass(frozen=True, slots=True)
class Leaf:
    """One preference, by the names of its path."""

    dimension: str
    subdimension: str
    preference: str
    rows: int
    known: bool  # in the taxonomy; false: coined by the model


@dataclass
class CoverageCounter:
    """Counts batches of rows; `leaves` gives the account."""

    taxonomy: Taxonomy | None
    _counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _spelled: dict[tuple[str, str, str], tuple[str, str, str]] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame) -> None:
        """Count one batch."""
        entries = frame["preference_set"].explode().struct.unnest()
        grouped = entries.group_by("dimension", "subdimension", "preference", maintain_order=True).len()
        for dimension, subdimension, preference, rows in grouped.iter_rows():
            path = (dimension, subdimension, preference)
            key = _fold(path)
            self._counts[key] += rows
            self._spelled.setdefault(key, path)

    def leaves(self) -> list[Leaf]:
        """First the taxonomy's preferences in its order, unused ones too, then what was coined."""
        known = self._known()
        listed = [Leaf(*path, self._counts[key], known=True) for key, path in known.items()]
        coined = sorted(
            ((key, rows) for key, rows in self._counts.items() if key not in known),
            key=lambda pair: (-pair[1], pair[0]),
        )
        listed += [Leaf(*self._spelled[key], rows, known=False) for key, rows in coined[:MOST_COINED]]
        beyond: Counter[str] = Counter()
        for key, rows in coined[MOST_COINED:]:
            beyond[key[0]] += rows
        return listed + [
            Leaf(name, "(others)", "(others)", rows, known=False) for name, rows in beyond.items()
        ]

    def _known(self) -> dict[tuple[str, str, str], tuple[str, str, str]]:
        paths = [
            (dimension.slug, subdimension.name, preference.name)
            for dimension in (self.taxonomy.dimensions if self.taxonomy else ())
            for subdimension in dimension.subdimensions
            for preference in subdimension.preferences
        ]
        return {_fold(path): path for path in paths}


def _fold(path: tuple[str, str, str]) -> tuple[str, str, str]:
    dimension, subdimension, preference = (" ".join(name.split()).casefold() for name in path)
    return dimension, subdimension, preference
