"""Printing for people and for scripts. Results go to stdout, everything else to stderr."""

import json
import logging
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from multifaceted.errors import InputError, MultifacetedError
from multifaceted.ids import json_line

_SAY_NOTHING = frozenset({"", "0", "unknown"})
_LONGEST_WORD = 16  # characters that are kept on one line
# Where nobody looks, nothing needs to be folded.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200, force_jupyter=False)
err = Console(stderr=True, highlight=False, force_jupyter=False)


# What would move the cursor, recolor a terminal, hide text or turn its direction around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def is_notebook() -> bool:
    """Return whether this runs in a notebook's kernel, whose output has lines and no cursor."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")


def plain(text: str) -> str:
    """Return a text of anybody's, safe for a terminal: control characters are written as escapes."""
    return _CONTROL.sub(_spell, text)


def _spell(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


# A command of ours that a text names.
_COMMAND = re.compile(r"(?<![\w/.\\-])multifaceted (?=[a-z])")


def name_program(text: str) -> str:
    """Let the commands that a text names work as they stand, where `multifaceted` is not on the PATH."""
    return text if shutil.which("multifaceted") else _COMMAND.sub(f"{_find_program()} ", text)


def _find_program() -> str:
    started = Path(sys.argv[0])
    if started.name != "multifaceted":
        return shlex.join([sys.executable, "-m", "multifaceted"])
    # As short as it can be: most people are in the checkout that holds it.
    here = started.absolute()
    near = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    return shlex.quote(str(near))


def advise(text: str) -> None:
    """What to do next, on stdout."""
    out.print(plain(name_program(text)), markup=False, soft_wrap=True)


def say(text: str) -> None:
    """One line about what is going on."""
    err.print(plain(name_program(text)), markup=False, soft_wrap=True)


def log(*, verbose: bool = False) -> None:
    """Show what the package logs: warnings, and with `verbose` every request that is asked again."""
    handler = RichHandler(console=err, show_path=False, show_time=False, markup=False)
    handler.setFormatter(_PlainFormatter("%(message)s"))
    logger = logging.getLogger("multifaceted")
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def error(problem: MultifacetedError) -> None:
    """Every problem on a line of its own, and then what to do."""
    count = len(problem.problems) if isinstance(problem, InputError) else 1
    err.print(
        "[red]error:[/]" if count == 1 else f"[red]{count} problems:[/]", end=" " if count == 1 else "\n"
    )
    err.print(plain(problem.message), markup=False, soft_wrap=True)
    if problem.hint:
        err.print(f"[dim]hint:[/] {escape(plain(name_program(problem.hint)))}", soft_wrap=True)


def data(value: Any) -> None:
    """JSON for scripts."""
    out.print(plain(json.dumps(value, indent=2, ensure_ascii=False)), markup=False, soft_wrap=True)


def line(value: Any) -> None:
    """One JSON value on a line of its own, at once."""
    print(plain(json_line(value)), end="", flush=True)  # noqa: T201 - rich would wrap and color it


def usd(value: float | None) -> str:
    """Return an amount of money, or `unknown`."""
    return "unknown" if value is None else f"{value:,.2f}"


def duration(seconds: float | None) -> str:
    """Return a time span as people say it: `42 s`, `7 min`, `3 h 20 min`."""
    if seconds is None:
        return "unknown"
    minutes, hours = round(seconds / 60), int(seconds // 3600)
    if seconds < 100:  # noqa: PLR2004 - up to there, seconds are the better unit
        return f"{seconds:.0f} s"
    return f"{minutes:,} min" if not hours else f"{hours:,} h {minutes - 60 * hours} min"


def rule(title: str) -> None:
    """A line across, with a title."""
    out.print(Rule(escape(plain(title)), align="left"))


def text(value: str) -> None:
    """Plain text on stdout, unwrapped."""
    out.print(plain(value), markup=False, soft_wrap=True)


def table(
    title: str, columns: list[str], rows: Sequence[Sequence[object]], *, optional: Collection[str] = ()
) -> None:
    """A table on stdout; cells are text and never markup.

    Args:
        title: above it; empty for none.
        columns: their names.
        rows: a cell for each column.
        optional: columns that are left out where they say nothing in any row.
    """
    if title:
        out.print(f"\n[bold]{escape(plain(title))}[/]", soft_wrap=True)
    cells = [[f"{cell:,}" if isinstance(cell, int) else plain(str(cell)) for cell in row] for row in rows]
    shown = Table(box=None, pad_edge=False)
    kept = []
    for number, name in enumerate(columns):
        values = [row[number] for row in cells]
        if name not in optional or not _SAY_NOTHING.issuperset(values):
            kept.append(number)
            # No word is broken, unless it is so long that it can only be a path or the name of a model.
            longest = max(map(len, " ".join([name, *values]).split()), default=1)
            shown.add_column(name, overflow="fold", min_width=min(longest, _LONGEST_WORD))
    for row in cells:
        shown.add_row(*(escape(row[number]) for number in kept))
    out.print(shown)
