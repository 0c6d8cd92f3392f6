"""What a published config is: its schema, how run rows become its rows, its checks, and what the card says.

Example:
    LONG = PublishedConfig(
        "long", kind="collection", order=25, summary="long responses", model=SftRow, make=pick_long
    )
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, Field, create_model

from multifaceted.building.choice import Choice
from multifaceted.kinds import KindName
from multifaceted.records import StageRecord
from multifaceted.store.manifest import AddedColumn
from multifaceted.store.schema import arrow_schema

Batches: TypeAlias = Iterable[pa.RecordBatch]
# From the batches of run rows, in order and with all rows of an instruction, to those of one split.
Make: TypeAlias = Callable[["PublishedConfig", Batches, str, Choice], Iterator[pa.RecordBatch]]


@dataclass(slots=True)
class SeenRows:
    """What is remembered of one config's rows while they are checked: ids and notes, never texts."""

    ids: dict[str, list[str]] = field(default_factory=dict)  # by split
    notes: dict[str, Any] = field(default_factory=dict)  # by id, what the config's own check notes

    @property
    def rows(self) -> set[str]:
        """Return the ids of all splits."""
        return {row for ids in self.ids.values() for row in ids}


Seen: TypeAlias = Mapping[str, SeenRows]  # by config


@dataclass(frozen=True, slots=True)
class RowCheck:
    """A check of a config's rows: what to remember of each, and what is wrong once all configs were read."""

    note: Callable[[pa.RecordBatch], Iterable[tuple[str, Any]]] | None = None  # id and note
    # Of the config's name and all that was seen, the faults
    find: Callable[[str, Seen], Iterator[str]] | None = None


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """One published set. A new one is one module in `building/configs/`."""

    name: str  # what `load_dataset` takes
    kind: KindName = field(kw_only=True)  # of the runs that it is published of
    # Among the configs of the kind; the first is the default and has all rows
    order: int = field(kw_only=True)
    summary: str = field(kw_only=True)  # what a row holds, in a few words
    model: type[BaseModel] = field(kw_only=True)  # fixes field names, their order and types
    make: Make = field(kw_only=True)
    splits: tuple[str, ...] = ("train",)  # in the order they are published
    # Which rows of a run it has: all, one of each instruction, or those of the pairs
    rows: Literal["all", "one", "pairs"] = "all"
    # Published name → that of the run, where they differ
    renamed: dict[str, str] = field(default_factory=dict)
    # What it takes of the columns that a recipe adds: them, how they were made, or nothing
    takes: Literal["columns", "records", "nothing"] = "nothing"
    check: RowCheck | None = None
    tag: str = ""  # of the card, as the Hub knows tags
    variable: str = ""  # that the card's example loads it into; empty where the example leaves it out
    # Whether the card's example makes conversations of its rows, and for which training
    trains: Literal["", "completion", "preference"] = ""

    @property
    def schema(self) -> pa.Schema:
        """Return the Arrow schema of the published rows."""
        return arrow_schema(self.model)

    def derive(self, rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
        """Make the rows of one split, from those of a run, in order and with all rows of an instruction."""
        return self.make(self, rows, split, choice)

    def widen(self, added: Sequence[AddedColumn]) -> "PublishedConfig":
        """Return the same config of a run whose recipe adds columns."""
        fields: dict[str, Any] = {}
        renamed = dict(self.renamed)
        for column in added:
            if self.takes == "columns":
                fields[column.name] = (column.annotation, Field(description=column.description))
            elif self.takes == "records" and column.record:
                renamed[column.name] = column.record
                description = f"how `{column.name}` was made"
                fields[column.name] = (StageRecord, Field(description=description))
        if not fields:
            return self
        model = create_model(self.model.__name__, __base__=self.model, __doc__=self.model.__doc__, **fields)
        return replace(self, model=model, renamed=renamed)

    def pick(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Select and rename its columns from run rows that have them all.

        Raises:
            pyarrow.ArrowException: where the rows lack one of these columns.
        """
        names = self.schema.names
        found = rows.select([self.renamed.get(name, name) for name in names])
        return found.rename_columns(names).cast(self.schema)


def pick_all(config: PublishedConfig, rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
    """Publish every row of the run."""
    del split, choice
    return (config.pick(batch) for batch in rows)


def list_columns(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[Any, ...]]:
    """Yield the values of some columns, a tuple for each row."""
    return zip(*(batch.column(name).to_pylist() for name in names), strict=True)


def name_ids(ids: Sequence[str], most: int = 5) -> str:
    """Name some ids in a message, and count the others."""
    more = f" and {len(ids) - most:,} more ids" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
