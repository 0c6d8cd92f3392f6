"""Folders that `load_dataset` can be given: it takes some names for patterns, addresses or variables."""

import re
from pathlib import Path

from multifaceted.errors import StorageError

# Patterns of fsspec, its chained addresses, and variables of the environment.
_MISREAD = re.compile(r"[*?\[\]]|::|\$(?:\w|\{)")


def require_loadable(out: Path) -> None:
    """See that a folder has a name that `datasets` reads as it stands.

    Raises:
        StorageError: where it does not.
    """
    found = _MISREAD.search(str(out.absolute()))
    if found:
        message = (
            f"load_dataset could not read {out.absolute()}: it takes {found.group()!r} for something else"
        )
        raise StorageError(message, hint="name a folder without it with --out")
