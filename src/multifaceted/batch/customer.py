"""Whose requests are sent in batches: what it has to make, and which journals keep the replies."""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from multifaceted.ask.channel import Channel
from multifaceted.journal import OtherJournals

MadeT_co = TypeVar("MadeT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Group(Generic[MadeT_co]):
    """Jobs whose replies lie in one journal, such as the rows of a shard."""

    name: str
    # Each asks for what it needs, through the channel that it is given
    jobs: Iterable[Callable[[Channel], Coroutine[Any, Any, MadeT_co]]]
    others: OtherJournals | None = None  # where replies may lie that its journal lacks


class Customer(Protocol[MadeT_co]):
    """Gone through once for each wave; none of its jobs is kept."""

    @property
    def path(self) -> Path:
        """Return the folder below which its batches are remembered."""
        ...

    def groups(self) -> Iterator[Group[MadeT_co]]:
        """Return what it has still to make, in order."""
        ...

    def journal_file(self, name: str) -> Path:
        """Return the journal of a group."""
        ...

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold a group, so that no other process changes its journal."""
        ...
