"""Replies that stop before their end though no limit cut them: an open code fence, half a sentence."""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter

_FENCE = r"(?m)^[ \t>]*`{3,}"
# Words and marks that nothing ends in. Others, such as "of" and "in", end a line of verse now and then.
_DANGLING = (
    r"(?:[,(\[{“‘–—]|\w:|[a-z]-"
    r"|\b(?:and|or|but|the|an|because|such as|which|whose|their|your|its|including))$"
)
_OPEN_BRACKET = r"[^:;=]\([^()\n]{3,}$"
_LETTER = r"\p{L}$"
_NO_STOPS = r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]$"  # written without a mark at the end of a sentence
_ENDED_LINE = r"(?m)[.!?:;…。！？)\"”’»*`][ \t]*$"
_LINE = r"(?m)\S[^\n]*$"
_SENTENCE_INSIDE = r"\p{Ll}{3,}[.!?][\"”’)]?\s+[\p{Lu}\"“]"
_LIST_LINE = r"^\s*(?:[-*+•#>|]|\d+[.)]|\w[.)])\s"
_SIGN_OFF = (
    r"(?i)(?:regards|wishes|sincerely|yours|love|thanks|thank you|cheers|best|warmly|respectfully)\W*$"
)
_LETTER_BEGINS = r"(?i)^\W*(?:dear|hi|hello|hey|subject|good (?:morning|afternoon|evening))\b"
# An address, a tag, the name of a quantity, a smiley.
_NO_SENTENCE = r"(?:://|www\.|@|#)\S*$|(?:^|\s)\p{Lu}$|[:;=]-?\($"
_MOSTLY = 0.6  # of the other lines end in a mark, so the last one should too
_FEWEST_LINES = 2  # for such a share to mean anything


class TruncatedFilter(RowFilter):
    """Judged by the form of the text: verse, lists, titles and short answers need no mark at their end."""

    name: ClassVar[str] = "truncated"
    summary: ClassVar[str] = "the response ends in the middle of a sentence or of a code block"
    min_words: int = Field(default=8, ge=1)  # of a last line that should end in a mark

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        texts = rows.with_columns(_text=pl.col("output").str.strip_chars_end(" \t\r\n*_"))
        tail = pl.col("_text").str.slice(-20)
        fences = pl.col("output").str.count_matches(_FENCE)
        suspects = texts.filter(
            (fences % 2 == 1)
            | tail.str.contains(_DANGLING)
            | (tail.str.contains(_LETTER) & ~tail.str.contains(_NO_STOPS))
        )
        # A fence may be closed behind the last line of its code.
        is_open = (fences % 2 == 1) & ~pl.col("output").str.contains(r"[^`\s][^`\n]*```\s*$")
        suspects = suspects.with_columns(_last=pl.col("_text").str.extract(r"([^\n]*)$", 1), _open=is_open)
        suspects = suspects.with_columns(_dangling=self._is_dangling(), _unfinished=self._is_unfinished())
        return suspects.filter(pl.any_horizontal("_open", "_dangling", "_unfinished")).with_columns(
            detail=pl.when("_open")
            .then(pl.lit("open code fence"))
            .otherwise(pl.lit("ends in: … ") + pl.col("_last").str.slice(-40))
        )

    def _is_dangling(self) -> pl.Expr:
        words = pl.col("_text").str.count_matches(r"\S+")
        last_words = pl.col("_last").str.count_matches(r"\S+")
        is_letter = pl.col("_text").str.contains(_LETTER_BEGINS) & (last_words < self.min_words)
        is_signed = pl.col("_last").str.contains(_SIGN_OFF) | (is_letter & pl.col("_last").str.ends_with(","))
        passes = is_signed | pl.col("_last").str.contains(_NO_SENTENCE)
        dangles = pl.col("_last").str.contains(_DANGLING) | pl.col("_last").str.contains(_OPEN_BRACKET)
        return dangles & ~passes & (words >= self.min_words)

    def _is_unfinished(self) -> pl.Expr:
        last, text = pl.col("_last"), pl.col("_text")
        others = text.str.count_matches(_LINE) - 1
        ended = text.str.count_matches(_ENDED_LINE) / others
        mostly_ended = (others >= _FEWEST_LINES) & (ended >= _MOSTLY)
        holds_sentence = last.str.contains(_SENTENCE_INSIDE)
        is_list = last.str.contains(_LIST_LINE)
        should_end = (
            pl.when(is_list).then(mostly_ended & holds_sentence).otherwise(mostly_ended | holds_sentence)
        )
        is_long = last.str.count_matches(r"\S+") >= self.min_words
        return last.str.contains(_LETTER) & is_long & should_end & ~last.str.contains(_NO_SENTENCE)
