"""The pairs of a run, and whether those of a built folder are what they should be."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from multifaceted.building.choice import Choice
from multifaceted.building.config import Batches, Seen, SeenRows, name_ids

_COLUMNS = ("id", "main_source", "original_source", "system", "prompt", "output")


class PairNote(NamedTuple):
    """What is remembered of a pair: hashes of its texts."""

    system: str | None  # None where the config does not keep it apart from the instruction
    chosen: str
    rejected: str


def iter_pairs(
    rows: Batches, choice: Choice, split: Literal["train", "test", "all"] = "all"
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each pair's chosen and rejected row, in the order of the run."""
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


def find_pair_faults(name: str, seen: Seen) -> Iterator[str]:
    """Find pairs whose chosen response is not their own row's, or whose rejected one is no sibling's."""
    texts: dict[str, tuple[str, str]] = seen.get("sft", SeenRows()).notes
    instructions: dict[str, str] = seen.get("provenance", SeenRows()).notes
    responses: dict[str, set[str]] = defaultdict(set)  # by instruction
    for row, instruction in instructions.items():
        responses[instruction].add(texts.get(row, ("", ""))[1])
    wrong = []
    for row, pair in seen[name].notes.items():
        system, response = texts.get(row, ("", ""))
        siblings = responses.get(instructions.get(row, ""), set()) - {pair.chosen}
        is_own = pair.system in (None, system) and pair.chosen == response
        if not is_own or pair.rejected not in siblings:
            wrong.append(row)
    if wrong:
        yield f"config {name!r}: {name_ids(wrong)} are not pairs of one instruction's responses"
