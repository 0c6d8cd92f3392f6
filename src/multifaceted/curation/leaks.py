"""Texts that hold what they were made from: JSON, template marks, sentences of a prompt, chat tokens."""

import re
from functools import cache
from pathlib import Path
from typing import ClassVar

import polars as pl
from pydantic import Field

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
_CHAT_TOKENS = (
    r"<\|(?:im_start|im_end|im_sep|eot_id|begin_of_text|end_of_text|start_header_id|end_header_id|endoftext"
    r"|endofprompt|system|user|assistant|end|eom_id)\|>|<\|?(?:start|end)_of_turn\|?>|<\|END_OF_TURN_TOKEN\|>"
    r"|<<SYS>>|<</SYS>>|\[/?INST\]|<[｜|](?:User|Assistant|end▁of▁sentence)[｜|]>|</s>\s*$|^\s*<s>\s"
    r"|(?m)^#{2,3} ?(?:Instruction|Response|Input|Assistant|User|System):\s*$"
)
# Instructions about such things: there the marks are the matter itself.
_ABOUT_TEMPLATES = (
    r"(?i)\{\{|\{%|\b(?:jinja2?|templat\w*|handlebars|mustache|liquid|vue|angular\w*|django|flask|ansible|helm"
    r"|hugo|latex|prompt|placeholders?|f-?strings?)\b"
)
_ABOUT_TOKENS = (
    r"(?i)<\||\[/?INST\]|<<SYS>>|</?s>|### ?(?:Instruction|Response|Input)|\b(?:chat ?ml|chat templates?"
    r"|tokeni[sz]\w*|special tokens?|llama|mistral|alpaca|prompt formats?|fine-?tun\w*)\b"
)
_SENTENCE_WORDS = 9  # of a template's sentence, so that it cannot stand elsewhere by chance
_ALL_FOUND = {"json": "JSON of a preference set", "template": "template marks", "tokens": "chat tokens"}


class LeakFilter(RowFilter):
    """Looks in system message and response; what the instruction itself is about is let pass."""

    name: ClassVar[str] = "leaked_text"
    summary: ClassVar[str] = "JSON, template text or chat tokens stand in the system message or response"
    # Templates of your own, for their sentences; those that ship with the package are always known.
    templates: tuple[Path, ...] = ()
    min_words: int = Field(default=_SENTENCE_WORDS, ge=3)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        sentences = read_sentences(self.templates, self.min_words)
        marked = rows.select(
            pl.all(),
            _system_json=pl.col("system").str.contains(_JSON),
            _output_json=pl.col("output").str.contains(_JSON),
            _system_template=pl.col("system").str.contains(_TEMPLATE),
            _output_template=pl.col("output").str.contains(_OWN_VARIABLES),
            _system_tokens=pl.col("system").str.contains(_CHAT_TOKENS),
            _output_tokens=pl.col("output").str.contains(_CHAT_TOKENS),
            _system_sentence=pl.col("system").str.contains_any(sentences),
            _output_sentence=pl.col("output").str.contains_any(sentences),
        )
        flags = [name for name in marked.columns if name.startswith("_")]
        prompt = pl.col("prompt")
        suspects = marked.filter(pl.any_horizontal(flags)).with_columns(
            _output_json=pl.col("_output_json") & ~prompt.str.contains(r"(?i)subdimension|\"preference\""),
            _output_template=pl.col("_output_template") & ~prompt.str.contains(_ABOUT_TEMPLATES),
            _output_tokens=pl.col("_output_tokens") & ~prompt.str.contains(_ABOUT_TOKENS),
        )
        found = suspects.filter(pl.any_horizontal(flags))
        return found.with_columns(detail=pl.coalesce(*(_name(flag) for flag in flags)))


def _name(flag: str) -> pl.Expr:
    _, column, kind = flag.split("_")
    what = _ALL_FOUND.get(kind, "a sentence of a template")
    return pl.when(pl.col(flag)).then(pl.lit(f"{column}: {what}"))


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
