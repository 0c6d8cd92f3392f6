"""What letters and the commonest words tell of a text's language, without a trained model.

Example:
    name_scripts(frame["prompt"])          # ["Latin", "Cyrillic", …]
"""

import polars as pl

SCRIPTS: dict[str, str] = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Indic": r"[\p{Devanagari}\p{Bengali}\p{Tamil}\p{Telugu}\p{Gujarati}\p{Kannada}\p{Malayalam}]",
    "Thai": r"\p{Thai}",
    # Han is shared, and Japanese mixes it with its own letters: kana or Hangul decide.
    "Han": r"\p{Han}",
    "Kana": r"[\p{Hiragana}\p{Katakana}]",
    "Hangul": r"\p{Hangul}",
}
# Words that English can hardly do without; a text that has its share of them needs no closer look.
ENGLISH = (
    r"(?i)\b(?:the|of|and|to|is|in|that|it|for|you|with|are|this|be|as|on|your|what|from|how|or|an|was"
    r"|have)\b"
)
ENGLISH_SHARE = 0.12  # of the words; German, with "in" and "was", stays well below
_DENSE = ("Han", "Kana", "Hangul")
_BY_WEIGHT = ("Kana", "Hangul", *(name for name in SCRIPTS if name not in ("Kana", "Hangul")))
IDEOGRAPH_WEIGHT = 3  # letters of an alphabet that one of these characters stands for, about


def name_scripts(texts: pl.Series) -> pl.Series:
    """Return the script that most letters of each text belong to; null where it has none."""
    frame = texts.to_frame("text")
    # Most texts are plain ASCII: then no letter needs to be counted.
    is_ascii = pl.col("text").str.len_bytes() == pl.col("text").str.len_chars()
    plain = frame.select(
        pl.when(is_ascii & pl.col("text").str.contains("[A-Za-z]")).then(pl.lit("Latin")).alias("script"),
        is_ascii=is_ascii,
    )
    if plain["is_ascii"].all():
        return plain["script"]
    counts = {
        name: pl.col("text").str.count_matches(pattern) * (IDEOGRAPH_WEIGHT if name in _DENSE else 1)
        for name, pattern in SCRIPTS.items()
    }
    counted = frame.filter(~plain["is_ascii"]).select(**counts)
    counted = counted.with_columns(
        Kana=pl.when(pl.col("Kana") > 0).then(pl.col("Kana") + pl.col("Han")).otherwise(0)
    )
    most = pl.max_horizontal(*SCRIPTS)
    names = [pl.when((pl.col(name) == most) & (most > 0)).then(pl.lit(name)) for name in _BY_WEIGHT]
    decided = counted.select(script=pl.coalesce(*names))["script"]
    indices = (~plain["is_ascii"]).arg_true()
    return plain["script"].scatter(indices, decided)


def is_english(text: pl.Expr) -> pl.Expr:
    """Return whether a text is English beyond doubt, by its commonest words."""
    words = text.str.count_matches(r"\S+")
    return (words > 0) & (text.str.count_matches(ENGLISH) >= ENGLISH_SHARE * words)
