"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from multifaceted.errors import FAILURE_KINDS

Recipe = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Run = Annotated[Path, typer.Argument(help="The run folder.", metavar="RUN")]
RunOrFolder = Annotated[Path, typer.Argument(help="A run folder or a built folder.", metavar="RUN|FOLDER")]
Moved = Annotated[Path | None, typer.Option("--recipe", help="Where the recipe is now, if it was moved.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--kind",
        help="Only failures of this kind; may be repeated.",
        autocompletion=lambda: list(FAILURE_KINDS),
    ),
]
