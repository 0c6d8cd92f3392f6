"""What a filter is: a name that is also the reason it gives, typed parameters, and `find`.

`find` gets a frame of rows and gives those it objects to, and with them any of these columns:
`detail` (what it found, in a few words), `score` (a number), `partner` (the id of the other row) and `action`
(drop or note, where it is not the filter's for every row).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Final, Literal

import polars as pl

from multifaceted.strictmodel import StrictModel

NOTE: Final = "note"

# What filters see of a row, besides `position`: its place in the run.
COLUMNS = ("id", "instruction_id", "variant", "preference_set", "system", "prompt", "output")

# Called with the rows of the run, frame by frame and in order; remembers what it must of those before.
RunFinder = Callable[[pl.DataFrame], pl.DataFrame]


class Filter(StrictModel):
    """What all filters share. `action: note` records what is found and drops nothing."""

    name: ClassVar[str]  # snake_case; the key in the recipe, and the reason in the record
    summary: ClassVar[str]  # what it objects to, for people
    # The columns it looks at besides `prompt` and `output`, without which it has nothing to say.
    needs: ClassVar[frozenset[str]] = frozenset()
    action: Literal["drop", "note"] = "drop"

    def prepare(self) -> None:
        """Called once, before any row is read: what is missing should be told then.

        Raises:
            SetupError: where the filter cannot work on this machine.
        """
        return


class RowFilter(Filter, ABC):
    """Looks at each row by itself. Called from several threads at once."""

    @abstractmethod
    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""


class VariantFilter(Filter, ABC):
    """Compares the variants of each instruction with each other. Called from several threads at once."""

    @abstractmethod
    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows it objects to, of those that no row filter dropped; instructions are never cut apart."""


class RunFilter(Filter, ABC):
    """Compares each row with all rows before it."""

    @abstractmethod
    def begin(self) -> RunFinder:
        """Return a finder for one run; it gets the rows that nothing before it dropped."""
