"""The command line: `multifaceted --help`. Each command parses, calls one function and prints."""

import sys
from typing import Annotated

import typer

import multifaceted as mf
from multifaceted.cli import (
    curate,
    export,
    folder,
    hub,
    init,
    instructions,
    look,
    model,
    plan,
    report,
    rows,
    run,
    taxonomy,
    why,
)
from multifaceted.errors import InterruptedRunError, LimitReachedError, MultifacetedError
from multifaceted.terminal import show
from multifaceted.terminal.streams import open_displays


def _show_version(wanted: bool) -> None:
    if wanted:
        show.text(f"multifaceted {mf.__version__}")
        raise typer.Exit


app = typer.Typer(
    name="multifaceted",
    help="Build and curate preference datasets: instructions in, a Multifaceted Collection out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _start(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    pass


app.command("init")(init.init)
app.command("plan")(plan.plan)
app.command("preview")(plan.preview)
app.command("generate")(run.generate)
app.command("retry")(run.retry)
app.command("status")(look.status)
app.command("failures")(look.failures)
app.command("rows")(rows.rows)
app.command("curate")(curate.curate)
app.command("why")(why.why)
app.command("build")(folder.build)
app.command("check")(folder.check)
app.command("export")(export.export)
app.command("report")(report.report)
app.command("diff")(report.diff)
app.command("push")(hub.push)
app.command("pull")(hub.pull)
app.add_typer(instructions.app, name="instructions")
app.add_typer(model.app, name="model")
app.add_typer(taxonomy.app, name="taxonomy")


def main() -> None:
    """Run the command line; errors become a message and an exit code, never a traceback.

    Exit codes: 0 all well, 1 finished with failed rows or faults found, 2 bad input or configuration,
    3 stopped by a limit that the recipe sets, 130 interrupted. After 3 and 130 the state is saved.
    """
    displays = open_displays()
    show.log()
    try:
        app()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except (InterruptedRunError, KeyboardInterrupt) as error:
        show.say(str(error) or "interrupted")
        code = 130
    except MultifacetedError as error:
        show.error(error)
        code = 3 if isinstance(error, LimitReachedError) else 2
    sys.exit(displays.end(code, tells=sys.argv[1:2] not in (["generate"], ["retry"])))
