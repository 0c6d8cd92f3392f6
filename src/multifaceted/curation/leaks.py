"""Texts that hold what they were made from: JSON, template marks, sentences of a prompt, chat tokens."""

import re
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import polars as pl
from pydantic import Field

from multifaceted.curation import chat_marks
from multifaceted.curation.base import RowFilter
from multifaceted.curation.narrow import narrow
from multifaceted.inputfile import read_input_text
from multifaceted.prompts.template import REPAIR, shipped_template
from multifaceted.stages import SHIPPED

_JSON = r"\"subdimension\"\s*:|\"preference\"\s*:\s*\"[^\"]*\"\s*,\s*\"description\"\s*:"
_TEMPLATE = r"\{\{-?\s*\w[^{}\n]*\}\}|\{%-?\s*(?:block|for|if|endblock|endfor|endif)\b"
_OWN_VARIABLES = (
    r"\{\{-?\s*(?:system_message|instruction|descriptions|problems|sampled|seeds)\b"
    r"|\[the system message that the model writes\]"
)
# Instructions about such things: there the marks are the matter itself.
_ABOUT_TEMPLATES = (
    r"(?i)\{\{|\{%|\b(?:jinja2?|templat\w*|handlebars|mustache|liquid|vue|angular\w*|django|flask|ansible|helm"
    r"|hugo|latex|prompt|placeholders?|f-?strings?)\b"
)
_AT_ONCE = 200  # sentences in a pattern
_SENTENCE_WORDS = 9  # of a template's sentence, so that it cannot stand elsewhere by chance


class _Mark(NamedTuple):
    """What is looked for in a system message and in a response; prompts that let it pass in the latter."""

    title: str
    in_system: str  # empty: nothing; a system message may speak of users and of thinking
    in_output: str
    about: str
    near: list[str]  # one of these stands in whatever matches; plain words are found many times faster


_MARKS = (
    _Mark(
        "JSON of a preference set",
        _JSON,
        _JSON,
        r"(?i)subdimension|\"preference\"",
        ['"subdimension"', '"preference"'],
    ),
    _Mark("template marks", _TEMPLATE, _OWN_VARIABLES, _ABOUT_TEMPLATES, ["{{", "{%", "[the system"]),
    _Mark("chat tokens", chat_marks.TOKENS, chat_marks.TOKENS, chat_marks.ABOUT_TOKENS, ["<", "["]),
    _Mark("another turn of the chat", "", chat_marks.TURNS, chat_marks.ABOUT_TURNS, chat_marks.NEAR_TURNS),
    _Mark("reasoning", "", chat_marks.REASONING, chat_marks.ABOUT_REASONING, chat_marks.NEAR_REASONING),
    _Mark(
        "a tool call",
        chat_marks.TOOL_CALLS,
        chat_marks.TOOL_CALLS,
        chat_marks.ABOUT_TOOLS,
        ["<", "[TOOL", "{"],
    ),
)


class LeakFilter(RowFilter):
    """Looks in system message and response; what the instruction itself is about is let pass."""

    name: ClassVar[str] = "leaked_text"
    summary: ClassVar[str] = "chat tokens, further turns, reasoning, JSON or template text stand in a text"
    # Templates of your own, for their sentences; those that ship with the package are always known.
    templates: tuple[Path, ...] = ()
    min_words: int = Field(default=_SENTENCE_WORDS, ge=3)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        sentences = read_sentences(self.templates, self.min_words)
        parts = [self._find_in(rows, column, sentences) for column in ("system", "output")]
        return pl.concat(parts).unique("position", keep="first", maintain_order=True)

    def _find_in(self, rows: pl.DataFrame, column: str, sentences: list[str]) -> pl.DataFrame:
        text, prompt = pl.col(column), pl.col("prompt")
        found: list[pl.DataFrame] = []
        for mark in _MARKS:
            pattern = mark.in_system if column == "system" else mark.in_output
            if pattern:
                near = text.str.contains_any(mark.near, ascii_case_insensitive=True)
                about = pl.lit(value=False) if column == "system" else prompt.str.contains(mark.about)
                held = narrow(rows, near, text.str.contains(pattern) & ~about)
                found.append(_name(held, column, mark.title))
        if column == "system":
            writer = rows.filter(text.str.contains(chat_marks.ADDRESSES_WRITER))
            found.append(_name(writer, column, "words to the writer of the prompt"))
        # A pattern is searched four times as fast as `contains_any`; too large a one is refused.
        parts = [sentences[start : start + _AT_ONCE] for start in range(0, len(sentences), _AT_ONCE)]
        patterns = ["|".join(map(pl.escape_regex, part)) for part in parts]
        quoted = rows.filter(pl.any_horizontal(pl.lit(value=False), *map(text.str.contains, patterns)))
        return pl.concat([*found, _name(quoted, column, "a sentence of a template")])


def _name(rows: pl.DataFrame, column: str, kind: str) -> pl.DataFrame:
    return rows.with_columns(detail=pl.lit(f"{column}: {kind}"))


@cache
def read_sentences(templates: tuple[Path, ...] = (), min_words: int = _SENTENCE_WORDS) -> list[str]:
    """Return the long sentences of the shipped templates and of others, as far as no variable stands in them.

    Raises:
        InputError: where a template cannot be read.
    """
    texts = [
        shipped_template(name, small=small).read_text(encoding="utf-8")
        for name in (*(stage.template for stage in SHIPPED.values()), REPAIR)
        for small in (False, True)
    ]
    texts += [read_input_text(path) for path in templates]
    found = {sentence for text in texts for sentence in _cut_sentences(text)}
    return sorted(sentence for sentence in found if len(sentence.split()) >= min_words)


def _cut_sentences(text: str) -> list[str]:
    literal = re.sub(r"\{#.*?#\}|\{\{.*?\}\}|\{%.*?%\}", "\n", text, flags=re.DOTALL)
    lines = (line.strip().lstrip("-").strip() for line in literal.splitlines())
    return [sentence.strip() for line in lines for sentence in re.split(r"(?<=[.!?;:])\s+", line)]
