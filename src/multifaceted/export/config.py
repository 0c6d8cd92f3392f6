"""What a published config is: a name, a pydantic model that fixes its schema, and a way from run rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, Field, create_model

from multifaceted.export.choice import Choice
from multifaceted.records import StageRecord
from multifaceted.store.manifest import AddedColumn
from multifaceted.store.schema import arrow_schema

Batches: TypeAlias = Iterable[pa.RecordBatch]
# From the batches of run rows, in order and with all rows of an instruction, to those of one split.
Make: TypeAlias = Callable[["PublishedConfig", Batches, str, Choice], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """One published set."""

    name: str  # what `load_dataset` takes
    summary: str  # what a row holds, in a few words
    model: type[BaseModel]  # fixes field names, their order and types
    make: Make
    splits: tuple[str, ...] = ("train",)  # in the order they are published
    chosen: bool = False  # whether its rows are chosen among those of a run; else it has all
    # Published name → that of the run, where they differ
    renamed: dict[str, str] = field(default_factory=dict)
    # What it takes of the columns that a recipe adds: them, how they were made, or nothing
    takes: Literal["columns", "records", "nothing"] = "nothing"

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the published rows."""
        return arrow_schema(self.model)

    def derive(self, rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
        """Make the rows of one split, from those of a run, in order and with all rows of an instruction."""
        return self.make(self, rows, split, choice)

    def widen(self, added: Sequence[AddedColumn]) -> "PublishedConfig":
        """The same config of a run whose recipe adds columns."""
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
        """Its columns, of run rows that have them all.

        Raises:
            pyarrow.ArrowException: where the rows have not these columns.
        """
        names = self.schema.names
        found = rows.select([self.renamed.get(name, name) for name in names])
        return found.rename_columns(names).cast(self.schema)


def pick_all(config: PublishedConfig, rows: Batches, split: str, choice: Choice) -> Iterator[pa.RecordBatch]:
    """Publish every row of the run."""
    del split, choice
    return (config.pick(batch) for batch in rows)
