# ruff: noqa: E501 - a pattern is read along its line
"""Sentences that speak of the model instead of the matter."""

from typing import ClassVar

import polars as pl

from multifaceted.curation.base import NOTE, RowFilter
from multifaceted.curation.narrow import find_first

_ABOUT_AI = (
    r"(?i)\b(?:A\.?I\.?|artificial intelligence|language models?|LLMs?|chat ?bots?|chat ?gpt|gpt|robots?"
    r"|are you (?:an?|human|real|sentient|alive|able|capable)|who are you|about yourself"
    r"|introduce yourself|can you (?:think|feel)|do you (?:think|feel|dream|sleep|have|know who)"
    r"|what are you|how are you)\b"
)
_START = r"(?i)(?:^\W*|[.!?:;]\W+|\n\s*|\bthat |\bbut |\bhowever, |\balso, )"
_KIND_OF_AI = r"(?:(?:[ -](?:large|text|language|based|generative|conversational|virtual)){0,3} (?:model|assistant|chat ?bot|system|program))?"
_SAYS = r"(?:,|\s+(?:i\b|my\b|developed|trained|created|designed|without|with (?:no|a)\b))"
_PERSONAL = r"personal (?:experiences?|opinions?|feelings|emotions|beliefs|preferences)"
BOILERPLATE = (
    rf"{_START}as an? (?:[\w-]+ ){{0,2}}(?:ai|artificial intelligence|a\.i\.){_KIND_OF_AI}{_SAYS}",
    rf"{_START}as a (?:large )?(?:language model(?: ai)?|digital assistant|virtual assistant){_SAYS}",
    (
        r"(?i)\bi(?:['’]m| am) (?:just |only |merely )?an? (?:text-based |conversational )?(?:ai|artificial intelligence"
        r"|large language model|language model|computer program|machine learning model)(?: (?:language model|text model|model|assistant|chat ?bot))?(?:[,.;]| and\b| so\b| without\b)"
    ),
    rf"(?i)\bi (?:do not|don['’]t) have {_PERSONAL}",
)
# An honest word on what it cannot know is no fault of an answer, but tells how it was made.
LIMITS = (
    r"(?i)\bas of my (?:(?:last|latest|most recent) )?(?:knowledge|training)(?: data)? (?:update|cut)",
    r"(?i)\bas of my (?:last|latest|most recent) update(?:,| in (?:\w+ )?20\d\d)",
    r"(?i)\bmy (?:knowledge|training)(?: data)? (?:cut-?off|only (?:goes|extends|includes)|ends in)",
    (
        r"(?i)\bi (?:do not|don['’]t) have (?:(?:access to )?real-?time\b"
        r"|the ability to (?:browse|access the internet))"
    ),
)
# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR_BOILERPLATE = [
    *(f" ai{sign}" for sign in (",", ".", ";", " ", "-", "\n")),
    *("a.i.", "artificial intelligence", "language model", "computer program", "learning model"),
    *("digital assistant", "virtual assistant", "as of my", "my knowledge", "my training"),
    *("i do not have", "i don't have", "i don’t have"),
]


class BoilerplateFilter(RowFilter):
    """Sentences such as "As an AI language model, I …", unless the instruction asks about such models.

    What only says how far its knowledge goes ("as of my last update") is noted, and dropped by nobody.
    """

    name: ClassVar[str] = "boilerplate"
    summary: ClassVar[str] = "the response speaks of itself as a language model"

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        near = rows.filter(pl.col("output").str.contains_any(_NEAR_BOILERPLATE, ascii_case_insensitive=True))
        near = near.filter(~pl.col("prompt").str.contains(_ABOUT_AI)).with_columns(
            detail=find_first("output", BOILERPLATE).str.strip_chars(), action=pl.lit(self.action)
        )
        limits = near.filter(pl.col("detail").is_null()).with_columns(
            detail=find_first("output", LIMITS).str.strip_chars(), action=pl.lit(NOTE)
        )
        return pl.concat([near, limits]).filter(pl.col("detail").is_not_null())
