"""Responses that decline to answer; what patterns know of that stands in `declining`."""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation import declining
from multifaceted.curation.base import NOTE, RowFilter
from multifaceted.curation.scripts import IDEOGRAPH_WEIGHT

# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR = (
    *(
        "cannot",
        "can not",
        "can't",
        "can’t",
        "unable",
        "not able",
        "could not",
        "couldn't",
        "couldn’t",
        "won't",
        "won’t",
    ),
    *(
        "will not",
        "may not",
        "i would",
        "decline",
        "refuse",
        "comfortable",
        "don't",
        "don’t",
        "do not",
        "not ",
    ),
    *(
        "illegal",
        "unethical",
        "inappropriate",
        "immoral",
        "never",
        "crime",
        "my p",
        "my guid",
        "my c",
        "my e",
        "my s",
    ),
    *("output", "input", "n/a", "none", "null", "no response", "no answer", "impossible", "incapable"),
    # in other languages, where a text may be written in ASCII
    *(
        "kann ",
        "ik kan",
        "puedo",
        "podr",
        "posso",
        "non sono",
        "ne peux",
        "ne puis",
        "nie mog",
        "saya",
        "kami",
        "tak ",
    ),
    *("olam", "verem", "nu pot", "nem tud", "nemohu", "kan ikke", "kan inte", "soy capaz", "niet ", "possib"),
)
_HEADING = r"^\s*#{1,6} [^\n]*\n+"
_FIRST_LINE = r"^\s*([^\n]{0,100})"


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
        near = opening.str.contains_any(list(_NEAR), ascii_case_insensitive=True)
        is_ascii = opening.str.len_bytes() == opening.str.len_chars()
        rows = rows.filter(near | ~is_ascii)
        declines = self._declines() & ~opening.str.contains(declining.NO_REFUSAL)
        foreign = opening.str.contains(declining.OTHER_LANGUAGES) | (
            opening.str.contains(declining.SPEAKER) & opening.str.contains(declining.UNPARTED)
        )
        found = rows.filter(declines | foreign)
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
                    declining.AFTER_PREAMBLE,
                    declining.BY_RULES,
                    declining.IMPERSONAL,
                )
            ),
            self._moralizes(),
        )

    def _moralizes(self) -> pl.Expr:
        """Whether a short text teaches a lesson and does nothing that was asked."""
        text, prompt, opening = pl.col("output"), pl.col("prompt"), pl.col("_opening")
        length = text.str.len_chars()
        dense = self.max_characters // IDEOGRAPH_WEIGHT
        teaches = opening.str.contains(declining.MORALS) & ~prompt.str.contains(declining.ASKS_MORALS)
        unparted = (
            (length <= dense)
            & opening.str.contains(declining.MORALS_UNPARTED)
            & ~prompt.str.contains(declining.ASKS_MORALS_UNPARTED)
        )
        return (length <= self.max_characters) & (teaches | unparted) & ~text.str.contains(declining.HAS_WORK)
