"""Responses that go round in circles: a character, some words, a line or a paragraph again and again.

What compresses far better than language does is looked at closely. Measures in the spirit of Gopher's (Rae et
al. 2021, table A1), but by runs: a refrain comes back between verses, a loop follows itself.
"""

import re
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from pydantic import Field

from multifaceted.curation.base import RowFilter

# A run of one mark is one token: a rule of a table is no loop, an empty item again and again is.
_TOKEN = re.compile(r"[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|\d+|[\u3040-\u30ff\u3400-\u9fff]|_+|([^\w\s])\1*")
_SUSPICIOUS = 0.52  # of its size at most a text is compressed to by LZ4; prose stays above 0.55
_LZ4 = pa.Codec("lz4_raw")  # three times as fast as zlib
_SHORTEST = 120  # characters of a text that can be said to loop
_LONGEST_UNIT = 120  # words that follow themselves
# How often a unit of so many words must follow itself: "very, very, very" is no loop.
_TIMES = ((1, 12), (3, 8), (8, 6), (20, 5), (_LONGEST_UNIT, 4))
_FEWEST_WORDS = 30  # in the loop
_MOST_WORDS = 3000  # looked at, the last ones: what loops does so to its end
_GRAM = 10  # words
_FEWEST_GRAMS = 12  # at a distance that may be a loop's
_FACTOR = np.uint64(0x9E37_79B9_7F4A_7C15)
_MARKS_TIMES = 40  # a unit without a letter: less may be a form to fill in, or a drawing
# A letter, or a few, without a space between: "ーーーー", "ACGACGACG"
_LONG_WORD = re.compile(r"\S{20,}")
_CHARACTER_RUN = re.compile(r"([^\W\d_]{1,6}?)\1{39,}|(\S{1,4}?)\2{199,}|\ufffd{20,}")
_WANTED = re.compile(
    r"(?i)\b(?:repeat\w*|times|lyrics?|songs?|poems?|verse|chorus|rap|chant|hymn|refrain|loop\w*|pattern|ascii"
    r"|table|csv|list of \d{3,})\b|歌|诗|詩|重复|繰り返"
)


class RepetitionFilter(RowFilter):
    """Finds loops. Songs, tables and what the prompt wants repeated pass, while nothing follows itself."""

    name: ClassVar[str] = "repetition"
    summary: ClassVar[str] = "the response repeats itself in a loop"
    share: float = Field(default=0.75, gt=0, le=1)  # of its words in runs of ten that were there before

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to."""
        suspects = [is_dense(text) for text in rows["output"]]
        rows = rows.filter(pl.Series(suspects, dtype=pl.Boolean))
        details = [
            describe_loop(output, self.share, wanted=bool(_WANTED.search(prompt)))
            for output, prompt in rows.select("output", "prompt").iter_rows()
        ]
        return rows.with_columns(detail=pl.Series(details, dtype=pl.String)).filter(pl.col("detail") != "")


def is_dense(text: str) -> bool:
    """Return whether a text compresses far better than language does."""
    if len(text) < _SHORTEST:
        return False
    data = text.encode("utf-8", "surrogatepass")
    return len(_LZ4.compress(data, asbytes=True)) < _SUSPICIOUS * len(data)


def describe_loop(text: str, share: float = 0.75, *, wanted: bool = False) -> str:
    """Return what repeats itself, in a few words; empty where nothing does.

    Args:
        text: any text.
        share: of its words that stand in runs of ten words that were there before.
        wanted: whether the prompt asks for what has repetitions; then only a loop counts.
    """
    for long in _LONG_WORD.finditer(text):
        if found := _CHARACTER_RUN.search(long[0]):
            unit = found[1] or found[2] or found[0][0]
            return f"{len(found[0]) // len(unit)} times in a row: {unit}"
    words = [match[0].lower() for match in _TOKEN.finditer(text)][-_MOST_WORDS:]
    # "1. Agile 2. Agile 3. Agile": numbers count on, what they number does not.
    unnumbered = ["#" if word.isdigit() else word for word in words]
    if len(words) < _FEWEST_WORDS:
        return ""
    factor = 2 if wanted or "```" in text else 1  # programs have rows of cases
    for tokens in (unnumbered, words):
        if loop := _describe_run(tokens, factor):
            return loop
    again = 0.0 if wanted else _share_again(_encode(words))
    return f"{again:.0%} of its words were there before" if again >= share else ""


def _encode(words: list[str]) -> npt.NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(word, len(numbers)) for word in words], dtype=np.int64)


def _describe_run(words: list[str], factor: int) -> str:
    codes = _encode(words)
    for length in _list_periods(codes):
        place, run = _find_longest_run(codes[length:] == codes[:-length])
        times = run // length + 1
        unit = words[place : place + length]
        least = factor * next(least for longest, least in _TIMES if length <= longest)
        has_letters = any(word.isalpha() for word in unit)
        if "#" in unit:  # numbers alone are a table or a sequence
            least = 2 * least if has_letters else len(words)
        elif not has_letters:
            least = max(least, _MARKS_TIMES)
        if times >= least and run + length >= _FEWEST_WORDS:
            return f"{times} times in a row: {' '.join(unit)[:60]}"
    return ""


def _find_longest_run(same: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return where the longest run of true values begins, and its length."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return 0, 0
    longest = int(np.argmax(ends - starts))
    return int(starts[longest]), int(ends[longest] - starts[longest])


def _hash_grams(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    grams = np.zeros(len(codes) - _GRAM + 1, dtype=np.uint64)
    for place in range(_GRAM):
        grams = grams * _FACTOR + codes[place : place + len(grams)].astype(np.uint64) + np.uint64(1)
    return grams


def _list_periods(codes: npt.NDArray[np.int64]) -> list[int]:
    """List the distances, in words, at which many runs of ten words come again; the shortest first."""
    grams = _hash_grams(codes)
    order = np.argsort(grams, kind="stable")
    same = grams[order[1:]] == grams[order[:-1]]
    distances = (order[1:] - order[:-1])[same]
    counts = np.bincount(distances[distances <= _LONGEST_UNIT], minlength=1)
    return np.flatnonzero(counts >= _FEWEST_GRAMS).tolist()


def _share_again(codes: npt.NDArray[np.int64]) -> float:
    """Return the share of words in runs of `_GRAM` words that stood there before."""
    grams = _hash_grams(codes)
    first = np.unique(grams, return_index=True)[1]
    again = np.ones(len(grams), dtype=bool)
    again[first] = False
    covered = np.zeros(len(codes) + 1, dtype=np.int64)
    np.add.at(covered, np.flatnonzero(again), 1)
    np.add.at(covered, np.flatnonzero(again) + _GRAM, -1)
    return float((np.cumsum(covered[:-1]) > 0).mean())
