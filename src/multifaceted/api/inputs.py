"""A recipe that was made in Python, written down in its run: `write_inputs(recipe, Path("run/inputs"))`.

RUN/inputs/
├── recipe.yaml           the recipe; files that it names stay where they are
├── instructions.jsonl    instructions that were at hand in memory
└── taxonomy.yaml         a taxonomy that was

So the run goes on, is retried and told of as any other, and what it was made from stands beside it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic_core import to_json

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_file
from multifaceted.instructions import MemoryRows
from multifaceted.instructions.memory import NAME
from multifaceted.planning.recipe import Recipe, rebase_recipe
from multifaceted.store.atomic import temporary_of, translate_os_errors, write_text
from multifaceted.store.mend import OF_PYTHON
from multifaceted.taxonomy import Taxonomy, dump_taxonomy

INPUTS = "inputs"
RECIPE = "recipe.yaml"


def write_inputs(recipe: Recipe, folder: Path) -> Path:
    """Write a recipe and what it has in memory into a folder; what is there and the same stays as it is.

    Returns:
        The recipe's file.

    Raises:
        InputError: where an instruction cannot be read.
        StorageError: where the folder cannot be written.
    """
    changes: dict[str, Any] = {}
    pool = recipe.instructions.path
    if isinstance(pool, MemoryRows):
        _write_rows(pool, folder / "instructions.jsonl")
        changes["instructions"] = recipe.instructions.model_copy(update={"path": Path("instructions.jsonl")})
    if isinstance(recipe.taxonomy, Taxonomy):
        _write_anew(folder / "taxonomy.yaml", dump_taxonomy(recipe.taxonomy))
        changes["taxonomy"] = "taxonomy.yaml"
    # Joined to an absolute path, one that is relative gives way.
    written = rebase_recipe(recipe, Path.cwd()).model_copy(update=changes)
    data = written.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    _write_anew(folder / RECIPE, OF_PYTHON + text)
    return folder / RECIPE


def _write_rows(rows: MemoryRows, path: Path) -> None:
    """Write row by row: a dataset may be larger than the memory."""
    with translate_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_of(path)
        try:
            with temporary.open("wb") as file:
                file.writelines(_encode_rows(rows))
                file.flush()
                os.fsync(file.fileno())
            if not path.is_file() or hash_file(path) != hash_file(temporary):
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _encode_rows(rows: MemoryRows) -> Iterator[bytes]:
    for row in rows:
        if row.fault:
            raise InputError([Problem(NAME, row.line, row.fault)])
        yield to_json(row.data, bytes_mode="base64", inf_nan_mode="null", fallback=str) + b"\n"


def _write_anew(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
