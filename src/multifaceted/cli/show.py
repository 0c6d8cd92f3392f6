"""Printing for people and for scripts. Results go to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from multifaceted.errors import InputError, MultifacetedError
from multifaceted.ids import json_line

# Where nobody looks, nothing needs to be folded.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line about what is going on."""
    err.print(text, markup=False, soft_wrap=True)


def error(problem: MultifacetedError) -> None:
    """Every problem on a line of its own, and then what to do."""
    count = len(problem.problems) if isinstance(problem, InputError) else 1
    err.print(
        "[red]error:[/]" if count == 1 else f"[red]{count} problems:[/]", end=" " if count == 1 else "\n"
    )
    err.print(problem.message, markup=False, soft_wrap=True)
    if problem.hint:
        err.print(f"[dim]hint:[/] {escape(problem.hint)}", soft_wrap=True)


def data(value: Any) -> None:
    """JSON for scripts."""
    out.print(json.dumps(value, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)


def line(value: Any) -> None:
    """One JSON value on a line of its own, at once."""
    print(json_line(value), end="", flush=True)  # noqa: T201 - rich would wrap and color it


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
    out.print(Rule(escape(title), align="left"))


def text(value: str) -> None:
    """Plain text on stdout, unwrapped."""
    out.print(value, markup=False, soft_wrap=True)


def table(title: str, columns: list[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout; cells are text and never markup."""
    if title:
        out.print(f"\n[bold]{escape(title)}[/]", soft_wrap=True)
    shown = Table(box=None, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold", no_wrap=column == "stage")
    for row in rows:
        shown.add_row(*(escape(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    out.print(shown)
