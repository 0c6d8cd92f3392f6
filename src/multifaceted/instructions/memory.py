"""Instructions that are at hand in memory rather than in a file: lists, datasets, data frames.

Example:
    for row in MemoryRows(["Why is the sky blue?", {"id": "x", "prompt": "Why is grass green?"}]): ...
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multifaceted.instructions.raw import RawRow, accept_row

NAME = "instructions"  # where a problem's file stands otherwise


class MemoryRows:
    """Rows with at least a `prompt`; a text alone is a prompt.

    Args:
        rows: texts, mappings, a `datasets.Dataset`, a Polars or pandas data frame, or an Arrow table. What
            can be gone through only once is kept as a list, for rows are read several times.

    Raises:
        ValueError: where it is something else.
    """

    def __init__(self, rows: Any) -> None:
        kind = type(rows).__name__
        if isinstance(rows, Mapping):  # such as a DatasetDict
            names = ", ".join(map(str, rows))
            raise ValueError(f"must be rows, and is a {kind} of {names}: give one of these")  # noqa: TRY004
        if isinstance(rows, str | bytes) or not (isinstance(rows, Iterable) or hasattr(rows, "to_batches")):
            raise ValueError(f"must be rows, such as a list or a data frame, and is a {kind}")
        self._rows = list(rows) if isinstance(rows, Iterator) else rows

    def __iter__(self) -> Iterator[RawRow]:
        """Yield the rows as those of a file, numbered from 1."""
        for number, row in enumerate(_iter_mappings(self._rows), start=1):
            yield accept_row(number, {"prompt": row} if isinstance(row, str) else row)

    def __str__(self) -> str:
        return NAME

    def __repr__(self) -> str:
        return f"<{type(self._rows).__name__} of instructions>"


def _iter_mappings(rows: Any) -> Iterator[Any]:
    if hasattr(rows, "iter_rows"):  # Polars
        yield from rows.iter_rows(named=True)
    elif hasattr(rows, "itertuples"):  # pandas
        names = list(map(str, rows.columns))
        yield from (
            dict(zip(names, values, strict=True)) for values in rows.itertuples(index=False, name=None)
        )
    elif hasattr(rows, "to_batches") and not hasattr(rows, "features"):  # Arrow
        for batch in rows.to_batches():
            yield from batch.to_pylist()
    else:
        yield from (dict(row) if isinstance(row, Mapping) else row for row in rows)
