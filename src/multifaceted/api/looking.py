"""`rows`: which rows a run or a built folder holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multifaceted.why.rows import select_rows

if TYPE_CHECKING:
    from multifaceted.api.built import BuiltFolder
    from multifaceted.api.runs import Run


def iter_rows(
    source: "str | Path | Run | BuiltFolder",
    *,
    where: Sequence[str] = (),
    reason: str | None = None,
    kept: bool | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield finished rows, at any moment of a run.

    Args:
        source: a run folder or a built folder.
        where: conditions that all hold: `"style=plain"`, or `"output~sorry"` for a text that contains it.
        reason: only rows that curation dropped for this reason.
        kept: only rows that curation keeps, or drops; None for all.
        limit: at most so many.

    Raises:
        InputError: where a condition names no field.
        StorageError: where the folder holds no rows.
    """
    return select_rows(Path(source), where=where, reason=reason, kept=kept, limit=limit)
