r"""Text from data as Markdown that shows it and does nothing else: no HTML, no broken table, no heading.

Example:
    escape_line("a|b <script>")      # a\|b \<script\>
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_QUOTE = 2000  # characters of one text; enough for nearly all system messages
MAX_CELL = 300
SHORT = 80  # characters that stand beside their field's name
CUT = " […]"

# What Markdown reads in a line, and what its readers make links of.
_MARKS = re.compile(r"[\\`*_\[\]<>&|~$#!@]|:(?=//)|(?<=www)\.")
_LINE_START = re.compile(r"^(?:([-+=])|(\d+)([.)]))")
# Control characters but tab and line ends, and those that turn the direction of a whole page.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")


def escape_line(text: str) -> str:
    """Any text on one line, for a table cell or amid a sentence."""
    shown = " ".join(_show(text).split())
    return _escape(_cut(shown, MAX_CELL))


def quote_text(text: str) -> str:
    """Return a text as a block quote, line by line as it stands; a very long one is cut, and says so."""
    lines = [_escape_start(line) for line in _cut(_show(text), MAX_QUOTE).splitlines()]
    text = "\n".join(lines)
    # A backslash is a line end that Markdown keeps; a line without words ends the paragraph by itself.
    broken = re.sub(r"(?<=[^\n])\n(?=[^\n])", "\\\\\n", text)
    return "\n".join(f"> {line}".rstrip() for line in broken.split("\n"))


def show_value(value: Any) -> str:
    """Return the value of one field, to stand behind its name: a short one in line, else below.

    Long text is quoted, a list of flat structs becomes a table, anything deeper bullets.
    """
    if isinstance(value, str):
        short = len(value) <= SHORT and "\n" not in value.strip()
        return f" {escape_line(value) or '(empty)'}" if short else f"\n\n{quote_text(value)}"
    if isinstance(value, list) and value and all(map(_is_flat, value)):
        return f"\n\n{_tabulate(value)}"
    outline = "\n".join(_outline(value))
    if outline:
        return f"\n\n{outline}"
    return " (empty)" if isinstance(value, Mapping | list) else f" {escape_line(str(value))}"


def _is_flat(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(inner, str | int) for inner in value.values())


def _tabulate(rows: list[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([escape_line(str(row[name])) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _outline(value: Any, indent: str = "") -> Iterator[str]:
    """Bullets within bullets, for structs in lists and structs in structs."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, Mapping | list):
                yield f"{indent}- **{name}**"
                yield from _outline(inner, f"{indent}  ")
            else:
                yield f"{indent}- **{name}**: {escape_line(str(inner))}"
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            if isinstance(inner, Mapping | list):
                yield f"{indent}- {number} of {len(value)}"
                yield from _outline(inner, f"{indent}  ")
            else:
                yield f"{indent}- {escape_line(str(inner))}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length].rstrip()}{CUT}"


def _show(text: str) -> str:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", lines)


def _escape_start(line: str) -> str:
    line = line.expandtabs(4).rstrip()
    indent = len(line) - len(line.lstrip(" "))
    return "&nbsp;" * indent + _escape(line[indent:])  # spaces would begin a block of code, or be dropped


def _escape(line: str) -> str:
    escaped = _MARKS.sub(r"\\\g<0>", line)
    return _LINE_START.sub(lambda m: rf"\{m[1]}" if m[1] else rf"{m[2]}\{m[3]}", escaped)
