"""Responses that hold nothing to learn from: bare markup, the prompt again, broken characters, web pages."""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter

_TAG = r"</?[A-Za-z][^<>\n]{0,300}>"
_CONTENT = r"[\p{L}\p{N}\p{So}\p{Sc}\p{Sm}]"
_BROKEN = r"\x{FFFD}|Ã[\x{80}-\x{BF}©¶¼¤±]|â€[™œ“”˜¦]|Â[\x{80}-\x{BF} ]"  # UTF-8 read as Latin-1
_ABOUT_PAGES = (
    r"(?i)\b(?:html?5?|xml|svg|css|web ?(?:page|site)s?|tags?|jsx|react|vue|angular|php|markup|code|script"
    r"|template|rss|email|table)\b"
)
_LEAST_TAGS = 8
_LEAST_ECHO = 20  # characters


class DegenerateFilter(RowFilter):
    """Names which of the four it is in the detail."""

    name: ClassVar[str] = "degenerate"
    summary: ClassVar[str] = (
        "the response is empty, echoes the prompt, or is broken characters or a raw web page"
    )
    min_broken: int = Field(default=5, ge=1)  # characters that were read in the wrong encoding
    markup: float = Field(default=0.5, gt=0, le=1)  # share of characters in tags

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        output, prompt = pl.col("output"), pl.col("prompt")
        tags = output.str.count_matches(_TAG)
        bare = pl.when(tags > 0).then(output.str.replace_all(_TAG, " ")).otherwise(output)
        is_page = (
            (tags >= _LEAST_TAGS)
            & (bare.str.len_chars() < (1 - self.markup) * output.str.len_chars())
            & ~output.str.contains("```", literal=True)
            & ~prompt.str.contains(_ABOUT_PAGES)
        )
        said, asked = (text.str.strip_chars().str.to_lowercase() for text in (output, prompt))
        kinds = {
            "nothing but markup": ~bare.str.contains(_CONTENT),
            "the prompt once more": (said == asked) & (asked.str.len_chars() >= _LEAST_ECHO),
            "broken characters": (output.str.count_matches(_BROKEN) >= self.min_broken)
            & (prompt.str.count_matches(_BROKEN) < self.min_broken),
            "a raw web page": is_page,
        }
        found = pl.coalesce(*(pl.when(holds).then(pl.lit(kind)) for kind, holds in kinds.items()))
        return rows.with_columns(detail=found).filter(pl.col("detail").is_not_null())
