"""Which texts are English beyond doubt, by their commonest words, so that no other look is needed."""

import polars as pl

# Words that English can hardly do without; a text that has its share of them needs no closer look.
_ENGLISH = (
    r"(?i)\b(?:the|of|and|to|is|in|that|it|for|you|with|are|this|be|as|on|your|what|from|how|or|an|was"
    r"|have)\b"
)
_ENGLISH_SHARE = 0.12  # of the words; German, with "in" and "was", stays well below
_ENGLISH_ALONE = frozenset(
    ("the", "and", "that", "you", "with", "are", "this", "your", "from", "have", "which")
)
_SAMPLE = 500  # characters at the beginning, and at the end
# Words that hardly stand in English texts and often in others.
_FOREIGN = (
    "und der das ist nicht que los las para por les est dans pour een het niet och att som jest nie się "
    "di che della não uma em ve bir yang dan untuk và của og af ei ja hogy és este sau cu je se na που"
)
_FOREIGN_WORDS = f" (?:{'|'.join(_FOREIGN.split())}) "


def is_plain_english(text: pl.Expr) -> pl.Expr:
    """Return whether a text is English from beginning to end: where not sure, it is not."""
    letters = text.str.len_bytes() < 1.05 * text.str.len_chars()
    ends = [_has_english_words(part) for part in (text.str.slice(0, _SAMPLE), text.str.slice(-_SAMPLE))]
    foreign = text.str.contains(_FOREIGN_WORDS)
    return letters & ends[0] & ends[1] & ~foreign


def _has_english_words(text: pl.Expr) -> pl.Expr:
    words = (
        text.str.count_matches(" ", literal=True) + 1
    )  # about; counting them truly takes three times as long
    return (text != "") & (text.str.count_matches(_ENGLISH) >= _ENGLISH_SHARE * words)


def has_english_words(text: str) -> bool:
    """Return whether a short text has words that no other language has, in such numbers."""
    words = text.lower().split()
    return text.isascii() and sum(word in _ENGLISH_ALONE for word in words) >= _ENGLISH_SHARE * max(
        len(words), 1
    )
