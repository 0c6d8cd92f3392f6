"""Runs of consecutive words of many texts, as hashes."""

from functools import cached_property

import numpy as np

from multifaceted.similar.words import Bools, Hashes, Places, Rolling, Words


class WordRuns:
    """The words of some texts, ready for hashes of any run of them."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._rolling = Rolling(words.hashes)
        self.counts = words.counts  # words of each text
        self.starts = words.offsets[:-1]  # of each text, its first word

    @cached_property
    def owners(self) -> Places:
        """Of each word, its text."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def hash(self, starts: Places, ends: Places) -> Hashes:
        """Return a hash of each run of words from `start` to before `end`."""
        return self._rolling.hash(starts, ends)

    def wholes(self) -> Hashes:
        """Return a hash of all words of each text."""
        return self.hash(self.starts, self.starts + self.counts)

    def of_length(self, length: int) -> tuple[Hashes, Bools]:
        """A hash of the run of `length` words from each word on, and whether it ends in the same text."""
        hashes = self._rolling.hash_runs(length)
        owners = self.owners
        return hashes, np.equal(owners[: len(hashes)], owners[length - 1 :][: len(hashes)])

    def is_at(self, place: int, length: int, run: np.uint64) -> bool:
        """Return whether the run with that hash stands at a word."""
        end = place + length
        inside = end <= len(self.owners) and self.owners[place] == self.owners[end - 1]
        return bool(inside and self.hash(np.array([place]), np.array([end]))[0] == run)

    def locate(self, place: int) -> tuple[int, int]:
        """Return the text of a word, and its place in there."""
        row = int(self.owners[place])
        return row, place - int(self._words.offsets[row])

    def count_distinct(self, places: Places, length: int) -> Places:
        """Return how many different words the runs at these places have."""
        runs = np.sort(self._words.hashes[places[:, None] + np.arange(length)], axis=1)
        distinct: Places = (runs[:, 1:] != runs[:, :-1]).sum(axis=1) + 1
        return distinct
