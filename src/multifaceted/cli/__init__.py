"""The command line: `multifaceted --help`. Each command parses, calls one function and prints."""

import codecs
import io
import json
import sys
from contextlib import suppress

import typer

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
    show,
    taxonomy,
    why,
)
from multifaceted.errors import InterruptedRunError, LimitReachedError, MultifacetedError

app = typer.Typer(
    name="multifaceted",
    help="Build and curate preference datasets: instructions in, a Multifaceted Collection out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
    codecs.register_error("multifaceted.escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError):  # where a program of its own put something else there
                stream.reconfigure(errors="multifaceted.escape")
    try:
        app()
    except (InterruptedRunError, KeyboardInterrupt) as error:
        show.say(str(error) or "interrupted")
        sys.exit(130)
    except MultifacetedError as error:
        show.error(error)
        sys.exit(3 if isinstance(error, LimitReachedError) else 2)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal or pipe cannot show as JSON escapes, so that what is JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
