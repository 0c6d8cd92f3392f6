"""Rows of a pool of a preparation: those of a file, or of a Hub dataset, which is streamed."""

from collections.abc import Iterator
from pathlib import Path

from multifaceted.errors import InputError, Problem
from multifaceted.instructions.raw import RawRow
from multifaceted.instructions.rows import read_rows
from multifaceted.instructions.sources import Pool
from multifaceted.proxies import settle_hub_client


def read_pool(pool: Pool, folder: Path) -> Iterator[RawRow]:
    """Yield the rows of a pool, whose path is meant from `folder`; those that cannot be read included.

    Raises:
        InputError: where the pool as a whole cannot be read, or is empty.
    """
    if pool.path is None:
        place, rows = pool.place, _read_hub(pool)
    else:
        path = folder / pool.path
        place, rows = str(path), read_rows(path, pool.file_format, columns=pool.fields.columns)
    empty = True
    for row in rows:
        empty = False
        yield row
    if empty:
        raise InputError([Problem(place, 0, "holds no row")])


def _read_hub(pool: Pool) -> Iterator[RawRow]:
    import datasets  # noqa: PLC0415 - a second to import, and only Hub sources need it

    settle_hub_client()
    try:
        rows = datasets.load_dataset(
            pool.hub, pool.config, split=pool.split, revision=pool.revision, streaming=True
        )
        for number, data in enumerate(rows, start=1):
            yield RawRow(number, data)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = " ".join(str(error).split())
        hint = "check name, config, split and revision; a private dataset needs HF_TOKEN"
        raise InputError([Problem(pool.place, 0, f"cannot be loaded: {reason}")], hint=hint) from error
