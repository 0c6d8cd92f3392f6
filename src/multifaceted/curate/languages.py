"""Which language a text is in: by its letters first, and by a trained model where letters cannot tell.

Example:
    name_scripts(frame["prompt"])          # ["Latin", "Cyrillic", …]
    open_identifier()(["Guten Morgen"])    # [("de", 0.99)]
"""

from collections.abc import Callable

import polars as pl

from multifaceted.errors import SetupError

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

# Texts to (language code, probability); the texts hold letters, a few words at least.
Identify = Callable[[list[str]], list[tuple[str, float]]]


def name_scripts(texts: pl.Series) -> pl.Series:
    """The script that most letters of each text belong to; null where it has none."""
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
    """Whether a text is English beyond doubt, by its commonest words."""
    words = text.str.count_matches(r"\S+")
    return (words > 0) & (text.str.count_matches(ENGLISH) >= ENGLISH_SHARE * words)


def open_identifier() -> Identify:
    """The identifier of py3langid, whose model lies in its package.

    Raises:
        SetupError: where it is not installed.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - of an extra
    except ImportError as error:
        hint = "pip install 'multifaceted[curation]', or set `language: {identifier: scripts}` in the recipe"
        raise SetupError("the language filter needs py3langid, which is not installed", hint=hint) from error
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def identify(texts: list[str]) -> list[tuple[str, float]]:
        return [(str(code), float(share)) for code, share in map(identifier.classify, texts)]

    return identify
