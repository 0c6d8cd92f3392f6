"""`init`: a folder with everything one would edit."""

from pathlib import Path
from typing import Annotated

import typer

import multifaceted as mf
from multifaceted.terminal import show


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write.", metavar="DIR")],
    *,
    bench: Annotated[bool, typer.Option("--bench", help="A benchmark instead of a collection.")] = False,
) -> None:
    """Make a folder with a recipe, instructions, and the templates and taxonomy to edit.

    Example: `multifaceted init my_collection`
    """
    recipe, *others = mf.init(folder, bench=bench)
    names = ", ".join(str(path.relative_to(folder)) for path in (recipe, *others))
    show.text(f"made {folder}: {names}")
    show.advise(f"next: edit {recipe}, then: multifaceted plan {recipe}")
