"""The account of a preparation: what was read, what was dropped and why, what is left; it must add up."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Reason = Literal[
    "broken",  # no row could be read there
    "no_prompt",
    "system_message",  # a system message stands in it and the recipe drops such rows, or nothing else does
    "too_short",
    "too_long",
    "language",
    "duplicate",
    "near_duplicate",
    "semantic_duplicate",
    "contaminated",
    "not_sampled",  # over a quota, or over the size of the sample
]
REASONS: tuple[Reason, ...] = get_args(Reason)  # in the order of the steps


@dataclass(slots=True)
class Funnel:
    """Counts by source."""

    read: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: dict[Reason, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in REASONS})

    def drop(self, reason: Reason, source: str) -> None:
        """Count one dropped row."""
        self.dropped[reason][source] += 1

    def check(self, *, kept: int, dropped: int) -> None:
        """Raise where rows came or went without a reason: a fault of this program, never of the data."""
        for source, read in self.read.items():
            told = self.kept[source] + sum(counts[source] for counts in self.dropped.values())
            if told != read:
                raise RuntimeError(f"{source}: {read} rows were read and {told} accounted for")
        counted = sum(counts.total() for counts in self.dropped.values())
        if (kept, dropped) != (self.kept.total(), counted):
            raise RuntimeError(
                f"{kept} and {dropped} rows were written, {self.kept.total()} and {counted} counted"
            )

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "read": self.read.total(),
            "kept": self.kept.total(),
            "dropped": {reason: counts.total() for reason, counts in self.dropped.items()},
            "by_source": {source: self._source(source) for source in self.read},
        }

    def _source(self, source: str) -> dict[str, Any]:
        dropped = {reason: counts[source] for reason, counts in self.dropped.items() if counts[source]}
        return {"read": self.read[source], "kept": self.kept[source], "dropped": dropped}
