"""Which rows go into the smaller sets: chosen once for a run, by seed, and the same in every config.

For each instruction one variant is chosen; that is the row of `sft_small`. Its response, beside a response to
another system message of the same instruction, makes the pair of `dpo`, `orpo` and `rm`.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from multifaceted.ids import hash_text, rank_digest
from multifaceted.store.curation import REJECTED_FITS

TEST_SHARE = 0.05  # of the pairs go into `rm`'s test split
MOST_TESTS = 1000  # however large the collection; the original has 315
FEWEST_FOR_TEST = 20  # pairs; with fewer there is no test split

TOO_FEW_VARIANTS = "too_few_variants"  # fewer than two rows of the instruction succeeded
SAME_RESPONSE = "same_response"  # all its other rows have the same system message or the same response


class Member(NamedTuple):
    """A row of an instruction, as far as choosing looks at it."""

    id: str
    system: str  # hash of it
    output: str  # hash of it


@dataclass(frozen=True)
class Choice:
    """What was chosen, by row id.

    `left_out` holds the instructions that give no pair, by reason.
    """

    small: frozenset[str] = frozenset()
    rejected: dict[str, str] = field(default_factory=dict)  # chosen row → the row whose response is rejected
    test: frozenset[str] = frozenset()  # chosen rows whose pair is in the test split
    left_out: dict[str, list[str]] = field(default_factory=dict)
    kept: pa.BooleanArray | None = None  # of each row of the run, whether curation keeps it; None keeps all


def choose(
    batches: Iterable[pa.RecordBatch], seed: int, fitting: Mapping[str, list[str]] | None = None
) -> Choice:
    """Choose for a finished run, among rows of which those of an instruction come one after the other.

    Args:
        batches: the rows.
        seed: of the run.
        fitting: for a row the siblings whose responses are nothing to reject beside its own.
    """
    small: list[str] = []
    rejected: dict[str, str] = {}
    left_out: dict[str, list[str]] = {}
    for instruction, members in _group(batches):
        digest = rank_digest(f"pair {seed} {instruction}")
        first, *others = sorted(members, key=lambda member: digest(member.id))
        small.append(first.id)
        unlike = [m.id for m in others if m.system != first.system and m.output != first.output]
        unfit = (fitting or {}).get(first.id, [])
        other = next((row for row in unlike if row not in unfit), None)
        if other is not None:
            rejected[first.id] = other
        else:
            reason = REJECTED_FITS if unlike else SAME_RESPONSE if others else TOO_FEW_VARIANTS
            left_out.setdefault(reason, []).append(instruction)
    return Choice(frozenset(small), rejected, _choose_test(rejected, seed), left_out)


def keep_rows(batches: Iterable[pa.RecordBatch], kept: pa.BooleanArray | None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a run without those that curation drops."""
    position = 0
    for batch in batches:
        yield batch if kept is None else batch.filter(kept.slice(position, batch.num_rows))
        position += batch.num_rows


def _choose_test(rejected: dict[str, str], seed: int) -> frozenset[str]:
    """Return the pairs of the test split: one for each instruction, so no instruction is in both."""
    if len(rejected) < FEWEST_FOR_TEST:
        return frozenset()
    count = min(MOST_TESTS, max(1, round(TEST_SHARE * len(rejected))))
    return frozenset(heapq.nsmallest(count, rejected, key=rank_digest(f"test {seed}")))


def _group(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[str, list[Member]]]:
    current, members = "", list[Member]()
    for batch in batches:
        columns: list[list[Any]] = [
            batch.column(name).to_pylist() for name in ("instruction_id", "id", "system", "output")
        ]
        for instruction, row, system, output in zip(*columns, strict=True):
            if instruction != current and members:
                yield current, members
                members = []
            current = instruction
            members.append(Member(row, hash_text(system), hash_text(output)))
    if members:
        yield current, members
