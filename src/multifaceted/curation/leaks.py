"""Texts that hold what they were made from: JSON, template marks, sentences of a prompt, chat tokens."""

import re
from functools import cache
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation import chat_marks
from multifaceted.curation.base import RowFilter
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
_SENTENCE_WORDS = 9  # of a template's sentence, so that it cannot stand elsewhere by chance
# What is looked for in a system message, in a response, and the prompts that let it pass in a response.
_MARKS = {
    "json": (_JSON, _JSON, r"(?i)subdimension|\"preference\""),
    "template": (_TEMPLATE, _OWN_VARIABLES, _ABOUT_TEMPLATES),
    "tokens": (chat_marks.TOKENS, chat_marks.TOKENS, chat_marks.ABOUT_TOKENS),
    "turns": (chat_marks.TURNS, chat_marks.TURNS, chat_marks.ABOUT_TURNS),
    "reasoning": (chat_marks.REASONING, chat_marks.REASONING, chat_marks.ABOUT_REASONING),
    "tools": (chat_marks.TOOL_CALLS, chat_marks.TOOL_CALLS, chat_marks.ABOUT_TOOLS),
}
_KINDS = {
    "json": "JSON of a preference set",
    "template": "template marks",
    "tokens": "chat tokens",
    "turns": "another turn of the chat",
    "reasoning": "reasoning",
    "tools": "a tool call",
    "writer": "words to the writer of the prompt",
    "sentence": "a sentence of a template",
}


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
        prompt = pl.col("prompt")
        found: dict[str, pl.Expr] = {}
        for kind, (in_system, in_output, about) in _MARKS.items():
            found[f"_system_{kind}"] = pl.col("system").str.contains(in_system)
            found[f"_output_{kind}"] = pl.col("output").str.contains(in_output) & ~prompt.str.contains(about)
        found["_system_writer"] = pl.col("system").str.contains(chat_marks.ADDRESSES_WRITER)
        for column in ("system", "output"):
            found[f"_{column}_sentence"] = pl.col(column).str.contains_any(sentences)
        marked = rows.with_columns(**found).filter(pl.any_horizontal(*found))
        return marked.with_columns(detail=pl.coalesce(*(_name(flag) for flag in found))).drop(*found)


def _name(flag: str) -> pl.Expr:
    _, column, kind = flag.split("_")
    return pl.when(pl.col(flag)).then(pl.lit(f"{column}: {_KINDS[kind]}"))


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
