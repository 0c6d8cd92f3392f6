"""What a published config is: a name, a pydantic model that fixes its schema, and a way from run rows."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.export.choice import Choice
from multifaceted.store.schema import arrow_schema

Batches = Iterable[pa.RecordBatch]
# From the batches of run rows, in order and with all rows of an instruction, to those of one split.
Derive = Callable[[Batches, str, Choice], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """One published set.

    Args:
        name: what `load_dataset` takes.
        summary: what a row holds, in a few words.
        model: fixes field names, their order and types.
        derive: makes its rows.
        splits: in the order they are published.
    """

    name: str
    summary: str
    model: type[BaseModel]
    derive: Derive
    splits: tuple[str, ...] = ("train",)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the published rows."""
        return arrow_schema(self.model)


def pick_columns(rows: pa.RecordBatch, model: type[BaseModel]) -> pa.RecordBatch:
    """The columns that a model names, of rows that have them all.

    Raises:
        pyarrow.ArrowException: where the rows have not these columns.
    """
    schema = arrow_schema(model)
    return rows.select(schema.names).cast(schema)
