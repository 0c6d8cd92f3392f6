"""The command line: `multifaceted --help`. Each command parses, calls one function and prints."""

import sys

import typer

from multifaceted.cli import folder, init, model, run, show, taxonomy
from multifaceted.errors import InterruptedRunError, MultifacetedError

app = typer.Typer(
    name="multifaceted",
    help="Build and curate preference datasets: instructions in, a Multifaceted Collection out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("plan")(run.plan)
app.command("preview")(run.preview)
app.command("generate")(run.generate)
app.command("status")(run.status)
app.command("build")(folder.build)
app.command("check")(folder.check)
app.add_typer(model.app, name="model")
app.add_typer(taxonomy.app, name="taxonomy")


def main() -> None:
    """Run the command line; errors become a message and an exit code, never a traceback.

    Exit codes: 0 all well, 1 finished with failed rows or faults found, 2 bad input or configuration,
    130 interrupted with the state saved.
    """
    try:
        app()
    except (InterruptedRunError, KeyboardInterrupt) as error:
        show.say(str(error) or "interrupted")
        sys.exit(130)
    except MultifacetedError as error:
        show.error(error)
        sys.exit(2)
