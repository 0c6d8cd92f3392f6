"""Responses that decline to answer, and sentences that speak of the model instead of the matter.

Regular expressions in the syntax of Rust's `regex`, which polars uses: linear time, no look-around.
"""

from typing import ClassVar

import polars as pl
from pydantic import Field

from multifaceted.curation.base import RowFilter

_APOLOGY = (
    r"(?:i(?:['’]m| am)(?: (?:really|very|so|truly|deeply|terribly))? sorry|sorry|(?:my |sincere )?apologies"
    r"|i (?:sincerely )?apologi[sz]e|unfortunately|regrettably|i regret)"
)
_CANNOT = (
    r"(?:i(?:['’]m| am) (?:not able|unable|not allowed|not permitted|not comfortable|not in a position)"
    r" ?(?:to |with )?"
    r"|i (?:cannot|can ?not|can['’]t|could not|couldn['’]t|will not|won['’]t)(?: be able to)? (?:be )?"
    r"|i (?:must|have to|need to) (?:decline|refuse)(?: to)? ?|i (?:do not|don['’]t) feel comfortable "
    r"|i (?:do not|don['’]t) (?:have|possess) (?:the )?)"
)
# What is declined. "I cannot recommend it enough" and "I can't help but smile" decline nothing.
_TASK = (
    r"(?:assist|help (?:you\b|with|create|write|answer)|help[.!]|provid|fulfil|comply|complet|creat|generat"
    r"|produc|writ(?:e|ing)|answer|engag|continu|support|offer|giv|shar|discuss|participat|respond|process"
    r"|proceed|develop|design|build|draft|access|abilit|capabilit|do (?:that|this|so)\b|your request"
    r"|this request|th(?:at|is)[.,])"
)
_AFTER_APOLOGY = rf"(?i)^[\s\"'“*]*{_APOLOGY}[^\n.!?]{{0,80}}[.!]?[^\n.!?]{{0,40}}?\b{_CANNOT}{_TASK}"
_AT_ONCE = rf"(?i)^[\s\"'“*]*{_CANNOT}{_TASK}"
_AGAINST_RULES = (
    r"(?i)\b(?:goes|is|are|would be|violates?|conflicts? with)(?: against)? my (?:programming|guidelines|"
    r"polic(?:y|ies)|ethical guidelines|safety guidelines)"
)
_OTHER_LANGUAGES = (
    r"(?i)^\W*(?:lo siento|me temo|(?:es )?tut mir (?:sehr )?leid|entschuldigung|(?:je suis (?:vraiment )?)?"
    r"d[ée]sol[ée]e?|mi dispiace|desculpe|sinto muito|lamento|извините|к сожалению|抱歉|对不起|申し訳|죄송)"
    r"[^\n.!?]{0,60}(?:no puedo|kann ich|ich kann|je ne (?:peux|puis)|non posso|não posso|я не могу|无法|不能"
    r"|できません|수 없)"
)
_ABOUT_AI = (
    r"(?i)\b(?:A\.?I\.?|artificial intelligence|language models?|LLMs?|chat ?bots?|chat ?gpt|gpt|robots?"
    r"|are you (?:an?|human|real|sentient|alive|able|capable)|who are you|about yourself"
    r"|introduce yourself)\b"
)
_OPENING = 300  # characters in which a refusal shows itself


class RefusalFilter(RowFilter):
    """Refusals: an apology and what cannot be done, or a short text that begins with the latter."""

    name: ClassVar[str] = "refusal"
    summary: ClassVar[str] = "the response, or the system message, declines to be written"
    # A letter may begin with "I cannot write this without …", so without an apology only short ones count.
    max_characters: int = Field(default=800, ge=1)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        places = [(name, self._declines(pl.col(name))) for name in ("output", "system")]
        return rows.filter(pl.any_horizontal(*(found for _, found in places))).with_columns(
            detail=pl.coalesce(
                *(pl.when(found).then(pl.lit(f"{name}: ") + _first_line(name)) for name, found in places)
            )
        )

    def _declines(self, text: pl.Expr) -> pl.Expr:
        opening = text.str.slice(0, _OPENING)
        is_short = text.str.len_chars() <= self.max_characters
        at_once = opening.str.contains(_AT_ONCE) | opening.str.contains(_AGAINST_RULES)
        return (
            opening.str.contains(_AFTER_APOLOGY)
            | opening.str.contains(_OTHER_LANGUAGES)
            | (is_short & at_once)
        )


_START = r"(?i)(?:^|[.!?:;]\s+|\n\s*|\bthat |\bbut |\bhowever, |\balso, )"
_KIND_OF_AI = r"(?: (?:large )?language model| model| assistant| chat ?bot| system)?"
_SAYS = r"(?:,|\s+(?:i\b|my\b|developed|trained|created|designed))"
_PERSONAL = r"personal (?:experiences?|opinions?|feelings|emotions|beliefs|preferences)"
BOILERPLATE = (
    rf"{_START}as an? (?:ai|artificial intelligence|a\.i\.){_KIND_OF_AI}{_SAYS}",
    rf"{_START}as a (?:large )?(?:language model(?: ai)?|digital assistant|virtual assistant){_SAYS}",
    (
        r"(?i)\bi(?:['’]m| am) (?:just |only |merely )?an? (?:ai|artificial intelligence|large language model"
        r"|language model)(?: (?:language model|model|assistant|chat ?bot))?(?:[,.;]| and\b| so\b| without\b)"
    ),
    r"(?i)\bas of my (?:(?:last|latest|most recent) )?(?:knowledge|training)(?: data)? (?:update|cut)",
    r"(?i)\bas of my (?:last|latest|most recent) update(?:,| in (?:\w+ )?20\d\d)",
    r"(?i)\bmy (?:knowledge|training)(?: data)? (?:cut-?off|only (?:goes|extends|includes)|ends in)",
    (
        rf"(?i)\bi (?:do not|don['’]t) have (?:{_PERSONAL}|(?:access to )?real-?time\b"
        r"|the ability to (?:browse|access the internet))"
    ),
)
# One of these stands in whatever the patterns match; plain words are found many times faster.
_NEAR_BOILERPLATE = [
    *(
        f"as a{kind}"
        for kind in ("n ai", "n a.i", "n artificial", " language", " large", " digital", " virtual")
    ),
    *(f"{i} {word}" for i in ("i am", "i'm", "i’m") for word in ("a", "just", "only", "merely")),
    *("as of my", "my knowledge", "my training", "i do not have", "i don't have", "i don’t have"),
]


class BoilerplateFilter(RowFilter):
    """Sentences such as "As an AI language model, I …", unless the instruction asks about such models."""

    name: ClassVar[str] = "boilerplate"
    summary: ClassVar[str] = "the response speaks of itself as a language model"

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        output = pl.col("output")
        near = rows.filter(output.str.contains_any(_NEAR_BOILERPLATE, ascii_case_insensitive=True))
        speaks = pl.any_horizontal(*(output.str.contains(pattern) for pattern in BOILERPLATE))
        return near.filter(speaks & ~pl.col("prompt").str.contains(_ABOUT_AI)).with_columns(
            detail=pl.coalesce(*(output.str.extract(pattern, 0) for pattern in BOILERPLATE)).str.strip_chars()
        )


def _first_line(name: str) -> pl.Expr:
    return pl.col(name).str.strip_chars().str.extract(r"^([^\n]{0,100})", 1)
