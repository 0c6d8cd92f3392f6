"""System messages as the method wants them: one voice in the second person, not a list of preferences."""

from typing import ClassVar

import polars as pl
from pydantic import Field, field_validator

from multifaceted.curation.base import RowFilter

# "You" and "your" in languages that system messages may be written in.
SECOND_PERSON = (
    r"(?i)\b(?:you|your|yours|yourself|you['’](?:re|ve|ll|d)|thou|du|dich|dir|dein\w*|sie|ihnen|ihre?\w*|tu|toi|vous|votre"
    r"|vos|usted|tú|tus?|eres|você|seu|sua|lei|sei|tuo|tua|jij|je|jouw|ты|вы|вас|вам|ваш\w*|тво\w+)\b"
    r"|[你您]|あなた|당신|أنت"
    # An imperative is in the second person too: verbs that English system messages begin sentences with.
    r"|(?:^|[.!?;]\s+)(?:act|adopt|answer|assume|avoid|be|behave|embody|explain|imagine|keep|pretend|respond"
    r"|role-?play|speak|step|take on|think|use|write)\b"
)
_FIRST_PERSON = r"\b(?:I|I['’](?:m|ll|ve|d)|[Mm]y|me|mine|myself)\b"
_PREAMBLE = (
    r"(?i)^\W*(?:(?:sure|certainly|of course|absolutely)\b[!,.]"
    r"|here(?:['’]s| is| are)\b[^.\n]{0,60}(?:system|message|prompt|role)"
    r"|system (?:message|prompt)\s*:|descriptions?\s*:)"
)
_BULLET = r"(?m)^\s*(?:[-*•+]|\d+[.)])\s+\S"
_HEADING = r"(?m)^\s*#{1,6}\s+\S|^\s*\*\*[^*\n]+\*\*:?\s*$"
_FENCE = r"(?m)^\s*```"
_PARAGRAPH_BREAK = r"\n\s*\n"
_LABEL = r"(?:\*\*)?\s*(?:\([^()\n]{1,60}\))?\s*(?:\*\*)?\s*(?::|→|->|=)"


class PersonFilter(RowFilter):
    """The assistant must be spoken to ("You are …", "As …, your task is …"), not speak or be spoken of."""

    name: ClassVar[str] = "system_person"
    needs: ClassVar[frozenset[str]] = frozenset({"system"})
    summary: ClassVar[str] = "the system message does not speak to the assistant in the second person"
    second_person: str = SECOND_PERSON  # a regular expression in the syntax of Rust's `regex`

    @field_validator("second_person")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.ComputeError as error:
            raise ValueError(f"is not a regular expression that polars takes: {error}") from error
        return pattern

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        system = pl.col("system")
        counted = rows.with_columns(
            _you=system.str.count_matches(self.second_person), _me=system.str.count_matches(_FIRST_PERSON)
        )
        return counted.filter((pl.col("_you") == 0) | (pl.col("_me") > pl.col("_you"))).with_columns(
            detail=pl.when(pl.col("_you") == 0)
            .then(pl.lit("no second person"))
            .otherwise(pl.lit("first person"))
        )


class ShapeFilter(RowFilter):
    """One paragraph of prose is wanted; a few are let pass."""

    name: ClassVar[str] = "system_shape"
    needs: ClassVar[frozenset[str]] = frozenset({"system"})
    summary: ClassVar[str] = "the system message is a list, has headings, or begins with words about itself"
    max_paragraphs: int = Field(default=3, ge=1)
    max_bullets: int = Field(default=1, ge=0)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        system = pl.col("system").str.strip_chars()
        faults = {
            "a list": system.str.count_matches(_BULLET) > self.max_bullets,
            "headings": system.str.contains(_HEADING),
            "a code block": system.str.contains(_FENCE),
            "words about itself": system.str.contains(_PREAMBLE),
            "many paragraphs": system.str.count_matches(_PARAGRAPH_BREAK) >= self.max_paragraphs,
        }
        found = rows.filter(pl.any_horizontal(*faults.values()))
        return found.with_columns(
            detail=pl.coalesce(*(pl.when(fault).then(pl.lit(name)) for name, fault in faults.items()))
        )


class LengthFilter(RowFilter):
    """The original bench's system messages have 682 to 1,370 characters; the bounds leave room."""

    name: ClassVar[str] = "system_length"
    needs: ClassVar[frozenset[str]] = frozenset({"system"})
    summary: ClassVar[str] = "the system message is much shorter or longer than others"
    min_characters: int = Field(default=200, ge=0)
    max_characters: int = Field(default=3000, ge=1)

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        length = pl.col("system").str.len_chars()
        found = rows.filter(~length.is_between(self.min_characters, self.max_characters))
        return found.with_columns(score=length.cast(pl.Float64), detail=pl.format("{} characters", length))


class ListedFilter(RowFilter):
    """Names of the dimensions, or names used as labels ("Clarity: …"). In prose, "clarity" is a word."""

    name: ClassVar[str] = "listed_preferences"
    needs: ClassVar[frozenset[str]] = frozenset({"preference_set", "system"})
    summary: ClassVar[str] = "the system message lists the dimensions or subdimensions by name"
    max_dimensions: int = Field(default=2, ge=0)  # that may be named in prose
    max_labels: int = Field(default=1, ge=0)  # names followed by a colon or an arrow

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        entries = rows.select("position", "preference_set", system=_plain("system")).explode("preference_set")
        entries = entries.unnest("preference_set").with_columns(_plain("dimension"), _plain("subdimension"))
        # A cheap look first: most system messages hold none of the words.
        near = [
            entries.filter((pl.col(name) != "") & pl.col("system").str.contains(pl.col(name), literal=True))
            for name in ("dimension", "subdimension")
        ]
        named = near[0].filter(_stands("dimension")).group_by("position").agg(_named=pl.len())
        labels = pl.concat(
            part.filter(_stands(name, _LABEL)).select("position")
            for part, name in zip(near, ("dimension", "subdimension"), strict=True)
        )
        counted = rows.join(named, on="position", how="left").join(
            labels.group_by("position").agg(_labels=pl.len()), on="position", how="left"
        )
        counted = counted.with_columns(pl.col("_named", "_labels").fill_null(0))
        return counted.filter(
            (pl.col("_named") > self.max_dimensions) | (pl.col("_labels") > self.max_labels)
        ).with_columns(detail=pl.format("{} dimensions named, {} names used as labels", "_named", "_labels"))


def _plain(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase().str.replace_all("_", " ", literal=True)


def _stands(column: str, after: str = "") -> pl.Expr:
    word = pl.lit(r"\b") + pl.col(column).str.escape_regex() + pl.lit(rf"\b{after}")
    return pl.col("system").str.contains(word)
