"""What a published config is: a name, a pydantic model that fixes its schema, and a way from run rows."""

from dataclasses import dataclass

import pyarrow as pa
from pydantic import BaseModel

from multifaceted.store.schema import arrow_schema


@dataclass(frozen=True, slots=True)
class PublishedConfig:
    """A config whose columns are all columns of the run's rows: it is picked, not computed."""

    name: str
    summary: str
    model: type[BaseModel]

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the published rows."""
        return arrow_schema(self.model)

    def to_batch(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The published rows of a batch of run rows.

        Raises:
            pyarrow.ArrowException: where the run's rows have not the columns of this schema.
        """
        return rows.select(self.schema.names).cast(self.schema)
