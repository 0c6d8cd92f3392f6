"""The pool of a plan, read through once: its shards, and what its instructions bring along."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from multifaceted.errors import InputError
from multifaceted.ids import hash_stream
from multifaceted.instructions import ColumnType, InstructionReader
from multifaceted.planning.recipe import Recipe
from multifaceted.records import Instruction


@dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous range of instructions: the unit of work that one process takes."""

    index: int
    start: int  # position of its first instruction in the pool
    stop: int  # one past its last
    digest: str  # of its instructions

    @property
    def name(self) -> str:
        """Five digits, so that folders sort in order."""
        return f"{self.index:05d}"


class Pool(NamedTuple):
    """What reading a pool through brings."""

    shards: tuple[Shard, ...]
    licenses: dict[str, str]  # by source; what the recipe says of one stands above what the pool says
    fields: tuple[str, ...]  # further fields that travel with instructions
    kept: dict[str, ColumnType]  # of these, the ones that become columns


def read_pool(recipe: Recipe, size: int, fields: Collection[str] | None) -> Pool:
    """Read the pool through once: every fault is found, and each shard gets its digest.

    Args:
        recipe: whose pool.
        size: instructions of a shard.
        fields: further fields that are wanted; None for all.

    Raises:
        InputError: with every fault of the pool.
    """
    spec = recipe.instructions
    reader = InstructionReader(spec.path, spec.limit, metadata=fields, required=spec.keep)
    stream = iter(reader)
    shards: list[Shard] = []
    start = 0
    while piece := list(islice(stream, size)):
        shards.append(Shard(len(shards), start, start + len(piece), hash_instructions(piece)))
        start += len(piece)
    if reader.problems:
        raise InputError(reader.problems)
    licenses = {source: "; ".join(sorted(found)) for source, found in sorted(reader.licenses.items())}
    types = reader.kept_types
    return Pool(
        tuple(shards), licenses | spec.licenses, tuple(types), {name: types[name] for name in spec.keep}
    )


def hash_instructions(instructions: list[Instruction]) -> str:
    """Return the digest of a shard's instructions."""
    # An instruction without metadata has the digest that it had before there was any.
    return hash_stream(
        instruction.model_dump(exclude=None if instruction.metadata else {"metadata"})
        for instruction in instructions
    )
