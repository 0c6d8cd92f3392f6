"""Printing for people and for scripts. Results go to stdout, everything else to stderr."""

import json
import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from multifaceted.errors import InputError, MultifacetedError
from multifaceted.ids import json_line

# Where nobody looks, nothing needs to be folded.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)


# What would move the cursor, recolor a terminal, hide text or turn its direction around.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """A text of anybody's, safe for a terminal: control characters are written as escapes."""
    return _CONTROL.sub(_spell, text)


def _spell(found: re.Match[str]) -> str:
    return f"\\u{ord(found.group()):04x}"


def say(text: str) -> None:
    """One line about what is going on."""
    err.print(plain(text), markup=False, soft_wrap=True)


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
        err.print(f"[dim]hint:[/] {escape(plain(problem.hint))}", soft_wrap=True)


def data(value: Any) -> None:
    """JSON for scripts."""
    out.print(plain(json.dumps(value, indent=2, ensure_ascii=False)), markup=False, soft_wrap=True)


def line(value: Any) -> None:
    """One JSON value on a line of its own, at once."""
    print(plain(json_line(value)), end="", flush=True)  # noqa: T201 - rich would wrap and color it


def usd(value: float | None) -> str:
    """An amount of money, or `unknown`."""
    return "unknown" if value is None else f"{value:,.2f}"


def duration(seconds: float | None) -> str:
    """A time span as people say it: `42 s`, `7 min`, `3 h 20 min`."""
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


def table(title: str, columns: list[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; cells are text and never markup."""
    if title:
        out.print(f"\n[bold]{escape(plain(title))}[/]", soft_wrap=True)
    shown = Table(box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold", no_wrap=column == "stage")
    for row in rows:
        shown.add_row(*(escape(f"{cell:,}" if isinstance(cell, int) else plain(str(cell))) for cell in row))
    out.print(shown)
