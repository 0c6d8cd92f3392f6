"""What a published config is: a name, a pydantic model that fixes its schema, and a way from run rows."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

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
        chosen: whether its rows are chosen among those of a run; else it has all.
    """

    name: str
    summary: str
    model: type[BaseModel]
    derive: Derive
    splits: tuple[str, ...] = ("train",)
    chosen: bool = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the published rows."""
        return arrow_schema(self.model)


def pick_columns(
    rows: pa.RecordBatch, model: type[BaseModel], renamed: Mapping[str, str] = MappingProxyType({})
) -> pa.RecordBatch:
    """The columns that a model names, of rows that have them all.

    Args:
        rows: of a run.
        model: of the published rows.
        renamed: what columns of other names are called in the run.

    Raises:
        pyarrow.ArrowException: where the rows have not these columns.
    """
    schema = arrow_schema(model)
    found = rows.select([renamed.get(name, name) for name in schema.names])
    return found.rename_columns(schema.names).cast(schema)
