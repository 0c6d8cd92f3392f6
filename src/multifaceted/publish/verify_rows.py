"""Checking rows across configs: ids, pairs, splits, and words that look like secrets.

Example:
    checker = RowChecker()
    checker.add("sft", "train", batch)          # every batch of every config
    list(checker.faults(complete=True))
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from multifaceted.curate.secrets import holds_token
from multifaceted.ids import hash_text

MOST_NAMED = 5  # ids in a message
TEXTS, PROVENANCE, SMALL, BENCH = "sft", "provenance", "sft_small", "bench"
PAIRS = ("dpo", "orpo", "rm")


@dataclass
class RowChecker:
    """Remembers ids and hashes of texts, never the texts."""

    default: str = TEXTS  # the config that has every row
    _ids: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    _instructions: dict[str, str] = field(default_factory=dict)  # row id → instruction id
    _systems: dict[str, str] = field(default_factory=dict)  # row id → hash
    _outputs: dict[str, str] = field(default_factory=dict)
    _pairs: dict[str, dict[str, tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(dict))
    _secrets: list[str] = field(default_factory=list)
    _unjudged: list[str] = field(default_factory=list)  # rows that lack a rubric

    def add(self, config: str, split: str, batch: pa.RecordBatch) -> None:
        """Take in one batch."""
        self._ids[config, split] += batch.column("id").to_pylist()
        self._find_secrets(config, batch)
        if config == TEXTS:
            for row_id, system, output in _columns(batch, "id", "system", "output"):
                self._systems[row_id], self._outputs[row_id] = hash_text(system), hash_text(output)
        elif config == BENCH:
            rows = _columns(batch, "id", "preference_set", "rubrics")
            self._unjudged += [row for row, preferences, rubrics in rows if len(rubrics) != len(preferences)]
        elif config == PROVENANCE:
            self._instructions.update(_columns(batch, "id", "instruction_id"))
        elif config == "rm":
            for row_id, text, chosen, rejected in _columns(batch, "id", "input", "chosen", "rejected"):
                self._pairs[config][row_id] = text, hash_text(chosen), hash_text(rejected)
        elif config in PAIRS:
            for row_id, system, chosen, rejected in _columns(batch, "id", "system", "chosen", "rejected"):
                answers = (hash_text(turns[-1]["content"]) for turns in (chosen, rejected))
                self._pairs[config][row_id] = system, *answers

    def faults(self, *, complete: bool) -> Iterator[str]:
        """What is wrong with the rows; with `complete`, also between configs."""
        yield from self._secrets
        for (config, split), ids in self._ids.items():
            repeated = [row for row, count in Counter(ids).items() if count > 1]
            if repeated:
                yield f"config {config!r}, {split}: {_name(repeated)} stand more than once"
        if self._unjudged:
            yield f"config {BENCH!r}: {_name(self._unjudged)} have not one rubric for each preference"
        if complete and any(config == self.default for config, _ in self._ids):
            yield from self._compare_ids()
            yield from self._check_pairs()
            yield from self._check_splits()

    def _compare_ids(self) -> Iterator[str]:
        known = {row for (config, _), ids in self._ids.items() if config == self.default for row in ids}
        for (config, _), ids in self._ids.items():
            strange = [row for row in ids if row not in known]
            if strange:
                yield f"config {config!r}: {_name(strange)} are not in {self.default!r}"
        if self._instructions:
            if set(self._instructions) != known:
                yield f"configs {self.default!r} and {PROVENANCE!r} have not the same ids"
            small = [self._instructions.get(row) for row in self._ids.get((SMALL, "train"), [])]
            if len(small) != len(set(small)):
                yield f"config {SMALL!r} has more than one variant of an instruction"

    def _check_pairs(self) -> Iterator[str]:
        """A pair's chosen response is its own row's, the rejected one another row's of the instruction."""
        outputs: dict[str, set[str]] = defaultdict(set)
        for row, instruction in self._instructions.items():
            outputs[instruction].add(self._outputs.get(row, ""))
        for config, pairs in self._pairs.items():
            wrong = []
            for row, (text, chosen, rejected) in pairs.items():
                system = text if config != "rm" else None
                mine = system is None or hash_text(system) == self._systems.get(row)
                others = outputs.get(self._instructions.get(row, ""), set()) - {chosen}
                if not mine or chosen != self._outputs.get(row) or rejected not in others:
                    wrong.append(row)
            if wrong:
                yield f"config {config!r}: {_name(wrong)} are no pairs of one instruction's responses"

    def _check_splits(self) -> Iterator[str]:
        for config in {name for name, _ in self._ids}:
            seen: dict[str, str] = {}
            for (name, split), ids in self._ids.items():
                if name != config:
                    continue
                both = [
                    row for row in ids if seen.setdefault(self._instructions.get(row, row), split) != split
                ]
                if both:
                    yield f"config {config!r}: the instructions of {_name(both)} are in two splits"

    def _find_secrets(self, config: str, batch: pa.RecordBatch) -> None:
        frame = pl.DataFrame(pl.from_arrow(batch))
        for name in frame.columns:
            for row in frame.filter(holds_token(name, frame.schema[name]))["id"]:
                self._secrets.append(f"config {config!r}: {name} of {row} holds what looks like a secret key")


def _columns(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def _name(ids: list[str]) -> str:
    more = f" and {len(ids) - MOST_NAMED:,} more ids" if len(ids) > MOST_NAMED else ""
    return ", ".join(ids[:MOST_NAMED]) + more
