"""Responses that decline to answer; what patterns know of that stands in `declining`."""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation import declining
from multifaceted.curation.base import NOTE, RowFilter
from multifaceted.curation.narrow import narrow

# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR_DECLINING = [
    "i cannot",
    "i can not",
    "i can't",
    "i can’t",
    "unable",
    "not able",
    "i could not",
    "couldn't",
    "couldn’t",
    "i won't",
    "i won’t",
    "i will not",
    "i may not",
    "not going to",
    "i must",
    "i have to",
    "i need to",
    "i would",
    "comfortable",
    "i don't",
    "i don’t",
    "i do not",
    "i'm not",
    "i’m not",
    "i am not",
    "incapable",
    "sorry",
    "apolog",
    "unfortunately",
    "regret",
    " cannot",
    " can't",
    " can not",
    "do not condone",
    "would not",
    "should not",
    "inappropriate",
    "unethical",
    "it is not",
    "it's not",
    "it’s not",
    "it is never",
    "not possible",
    "impossible",
    "cannot be",
    "is unable",
    "no output",
    "nooutput",
    "no input",
    "n/a",
    "none",
    "null",
    "not applicable",
    "my programming",
    "my guidelines",
    "my polic",
    "my ethical",
    "my safety",
    "my content",
    "my values",
    "not available",
    "no response",
    "no answer",
    "noanswer",
    "don't know",
    "don’t know",
    "want to",
    "just cannot",
    "simply",
]
_NEAR_STRONG = [
    "i cannot",
    "i can not",
    "i can't",
    "i can’t",
    "unable to",
    "not able to",
    "not programmed",
    "must decline",
    "i will not",
    "i won't",
    "i won’t",
]
_NEAR_MORALS = [
    "illegal",
    "unethical",
    "inappropriate",
    "immoral",
    "not appropriate",
    "not ethical",
    "acceptable",
    "okay",
    "crime",
    "legal",
]
_NEAR_FOREIGN = [
    "kann ",
    "ik kan",
    "puedo",
    "podr",
    "posso",
    "non sono",
    "ne peux",
    "ne puis",
    "nie mog",
    "saya ",
    "kami ",
    "olam",
    "verem",
    "nu pot",
    "nem tud",
    "nemohu",
    "kan ikke",
    "kan inte",
    "soy capaz",
    "niet ",
    "me es posib",
    "nous ne",
    "je ne",
    "no estoy",
    "darf ",
]
_HEADING = r"^\s*#{1,6} [^\n]*\n+"
_FIRST_LINE = r"^\s*([^\n]{0,100})"
_IDEOGRAPH_WEIGHT = 3  # letters of an alphabet that one Chinese character stands for, about


class RefusalFilter(RowFilter):
    """Reads the beginning of a text. One that declines and then does the task is noted, not dropped."""

    name: ClassVar[str] = "refusal"
    summary: ClassVar[str] = "the response, or the system message, declines to be written"
    # A long text may begin with a lesson and go on with an answer, so only short ones count as one.
    max_characters: int = Field(default=1500, ge=1)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        found = [self._find_in(rows, name) for name in ("output", "system")]
        return pl.concat(found).unique("position", keep="first", maintain_order=True)

    def _find_in(self, rows: pl.DataFrame, name: str) -> pl.DataFrame:
        text, opening = pl.col(name), pl.col("_opening")
        start = text.str.slice(0, declining.OPENING).str.replace(_HEADING, "")
        rows = rows.with_columns(_opening=start)
        is_ascii = opening.str.len_bytes() == opening.str.len_chars()
        declines = self._declines() & ~opening.str.contains(declining.NO_REFUSAL)
        foreign = opening.str.contains(declining.OTHER_LANGUAGES) | (
            opening.str.contains(declining.SPEAKER) & opening.str.contains(declining.UNPARTED)
        )
        parts = [
            narrow(rows, _holds(_NEAR_DECLINING), declines),
            narrow(rows, _holds(_NEAR_STRONG), opening.str.contains(declining.AFTER_PREAMBLE)),
            narrow(rows, _holds(_NEAR_MORALS) | ~is_ascii, self._moralizes(text)),
            narrow(rows, _holds(_NEAR_FOREIGN) | ~is_ascii, foreign),
        ]
        found = pl.concat(parts).unique("position", maintain_order=True)
        is_partial = text.str.contains(declining.YET) & text.str.contains(declining.HAS_WORK)
        return found.with_columns(
            detail=pl.lit(f"{name}: ") + text.str.extract(_FIRST_LINE, 1),
            action=pl.when(is_partial).then(pl.lit(NOTE)).otherwise(pl.lit(self.action)),
        ).drop("_opening")

    def _declines(self) -> pl.Expr:
        opening = pl.col("_opening")
        return pl.any_horizontal(
            *(
                opening.str.contains(pattern)
                for pattern in (
                    declining.AFTER_APOLOGY,
                    declining.AT_ONCE,
                    declining.BY_RULES,
                    declining.IMPERSONAL,
                )
            ),
        )

    def _moralizes(self, text: pl.Expr) -> pl.Expr:
        """Whether a short text teaches a lesson and does nothing that was asked."""
        prompt, opening = pl.col("prompt"), pl.col("_opening")
        length = text.str.len_chars()
        dense = self.max_characters // _IDEOGRAPH_WEIGHT
        teaches = opening.str.contains(declining.MORALS) & ~prompt.str.contains(declining.ASKS_MORALS)
        unparted = (
            (length <= dense)
            & opening.str.contains(declining.MORALS_UNPARTED)
            & ~prompt.str.contains(declining.ASKS_MORALS_UNPARTED)
        )
        return (length <= self.max_characters) & (teaches | unparted) & ~text.str.contains(declining.HAS_WORK)


def _holds(words: list[str]) -> pl.Expr:
    return pl.col("_opening").str.contains_any(words, ascii_case_insensitive=True)
