"""Decontamination: which texts hold something of a benchmark.

    index = BenchmarkIndex(["What breed dog is the smallest?"], OverlapSpec())
    index.match(["So what breed dog is the smallest?"])   # [Overlap(row=0, other=0, kind="contains", …)]

Words are compared, so case, punctuation and white space do not count. Texts that are shorter than an n-gram
are compared as a whole: with whole texts, and with each run of as many words inside a text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, get_args

import numpy as np
from pydantic import Field

from multifaceted.similar.index import NearIndex
from multifaceted.similar.labels import drop_labels
from multifaceted.similar.near import NearSpec
from multifaceted.similar.runs import WordRuns
from multifaceted.similar.table import HashTable
from multifaceted.similar.words import Hashes, Places, hash_words, split_batches, split_words
from multifaceted.strictmodel import StrictModel

OverlapKind = Literal[
    "exact",  # the same words
    "contains",  # a benchmark text shorter than an n-gram stands inside the text
    "inside",  # the text is shorter than an n-gram, and stands inside a benchmark text
    "ngram",  # some n-gram in common
    "near",  # near duplicates
]
KINDS: tuple[OverlapKind, ...] = get_args(OverlapKind)  # a text gets the first that holds


class OverlapSpec(StrictModel):
    """What counts as an overlap with a benchmark."""

    ngram: Annotated[int, Field(ge=2, le=100)] = 13  # words
    # Of an n-gram; fewer have the rows of a table or a list of numbers, which all texts of that kind share.
    distinct_words: Annotated[int, Field(ge=1)] = 7
    # Texts with fewer words are only compared with whole texts: "Write a story" stands inside many others.
    least_words: Annotated[int, Field(ge=1)] = 5
    near: NearSpec | None = NearSpec()


@dataclass(frozen=True, slots=True)
class Overlap:
    """A text that holds something of a benchmark."""

    row: int
    other: int  # the benchmark text; of equal ones the first
    kind: OverlapKind
    score: float  # for "ngram" the share of the other's n-grams, for "near" Jaccard, else 1
    run: str  # the first words in common; empty for "near"


class _Hit(NamedTuple):
    row: int
    other: int
    kind: OverlapKind
    score: float
    first: int  # word of the text at which the common run begins
    length: int


class BenchmarkIndex:
    """Benchmark texts, to look up texts in."""

    def __init__(self, texts: Sequence[str], spec: OverlapSpec) -> None:
        self.spec = spec
        self._runs = WordRuns(hash_words(list(map(drop_labels, texts))))
        wholes, counts = self._runs.wholes(), self._runs.counts
        _, firsts, classes = np.unique(wholes, return_index=True, return_inverse=True)
        self.first_equals: Places = firsts[classes]  # of each text, the first one that has the same words
        # A match with one of several equal texts is a match with all of them.
        self._kept = np.flatnonzero((self.first_equals == np.arange(len(texts))) & (counts > 0))
        self._wholes = HashTable(wholes[self._kept], self._kept)
        shorts = self._kept[(counts[self._kept] >= spec.least_words) & (counts[self._kept] < spec.ngram)]
        starts = self._runs.starts[shorts]
        self._short_beginnings = HashTable(self._runs.hash(starts, starts + spec.least_words), shorts)
        self._hashes = wholes
        self._tables: dict[int, HashTable] = {}
        self._near = (
            NearIndex.of([texts[row] for row in self._kept.tolist()], spec.near) if spec.near else None
        )

    def match(self, texts: Sequence[str], *, keys: Hashes | None = None) -> list[Overlap]:
        """Return the overlaps of texts, at most one for each, by row.

        `keys` are the texts' band keys, where `sign_texts` has made them with our `near` already.
        """
        found: dict[int, Overlap] = {}
        for start, stop in split_batches(texts):
            found.update(self._match_words(texts[start:stop], start))
        if self._near:
            rest = [row for row in range(len(texts)) if row not in found]
            known = keys[rest] if keys is not None else None
            for match in self._near.match([texts[row] for row in rest], keys=known):
                row, other = rest[match.row], int(self._kept[match.other])
                found[row] = Overlap(row, other, "near", match.jaccard, "")
        return [found[row] for row in sorted(found)]

    def _match_words(self, texts: Sequence[str], start: int) -> dict[int, Overlap]:
        texts = list(map(drop_labels, texts))
        runs = WordRuns(hash_words(texts))
        hits: dict[int, _Hit] = {}
        for find in (self._find_exact, self._find_contains, self._find_inside, self._find_ngrams):
            for hit in find(runs):
                hits.setdefault(hit.row, hit)
        return {start + row: _describe(hit, texts[row], start) for row, hit in hits.items()}

    def _find_exact(self, runs: WordRuns) -> Iterator[_Hit]:
        for row, other in _pairs(self._wholes.find(runs.wholes(), runs.counts > 0)):
            yield _Hit(row, other, "exact", 1.0, 0, int(runs.counts[row]))

    def _find_contains(self, runs: WordRuns) -> Iterator[_Hit]:
        """Looks for the first words of each short benchmark text, and then for the others behind them."""
        for place, other in _pairs(self._short_beginnings.find(*runs.of_length(self.spec.least_words))):
            length = int(self._runs.counts[other])
            if runs.is_at(place, length, self._hashes[other]):
                row, first = runs.locate(place)
                yield _Hit(row, other, "contains", 1.0, first, length)

    def _find_inside(self, runs: WordRuns) -> Iterator[_Hit]:
        for length in range(self.spec.least_words, self.spec.ngram):
            if (runs.counts == length).any():
                for row, other in _pairs(self._table(length).find(runs.wholes(), runs.counts == length)):
                    yield _Hit(row, other, "inside", 1.0, 0, length)

    def _find_ngrams(self, runs: WordRuns) -> Iterator[_Hit]:
        """Of the benchmark texts that share n-grams with a text, the one that shares most comes first."""
        length = self.spec.ngram
        places, others = self._table(length).find(*runs.of_length(length))
        varied = runs.count_distinct(places, length) >= min(self.spec.distinct_words, length)
        shared: dict[tuple[int, int], list[int]] = {}
        for place, other in _pairs((places[varied], others[varied])):
            row, first = runs.locate(place)
            shared.setdefault((row, other), []).append(first)
        for (row, other), firsts in sorted(shared.items(), key=lambda item: (-len(item[1]), item[0])):
            grams = int(self._runs.counts[other]) - length + 1
            yield _Hit(row, other, "ngram", min(len(firsts) / grams, 1.0), firsts[0], length)

    def _table(self, length: int) -> HashTable:
        """Return all runs of so many words of all texts."""
        if length not in self._tables:
            hashes, whole = self._runs.of_length(length)
            owners = self._runs.owners[: len(hashes)]
            places = np.flatnonzero(whole & np.isin(owners, self._kept))
            self._tables[length] = HashTable(hashes[places], owners[places])
        return self._tables[length]


def _pairs(found: tuple[Places, Places]) -> Iterator[tuple[int, int]]:
    return zip(found[0].tolist(), found[1].tolist(), strict=True)


def _describe(hit: _Hit, text: str, start: int) -> Overlap:
    run = split_words(text)[hit.first : hit.first + hit.length]
    return Overlap(start + hit.row, hit.other, hit.kind, hit.score, " ".join(run))
