"""Runs of consecutive words of many texts as hashes, and a table to look such hashes up in."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from multifaceted.similar.words import Hashes, Places, Rolling, Words

Bools = npt.NDArray[np.bool_]
SPARE_BITS = 4  # of the filter: 1 of 16 flags is set


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
        """A hash of each run of words from `start` to before `end`."""
        return self._rolling.hash(starts, ends)

    def wholes(self) -> Hashes:
        """A hash of all words of each text."""
        return self.hash(self.starts, self.starts + self.counts)

    def of_length(self, length: int) -> tuple[Hashes, Bools]:
        """A hash of the run of `length` words from each word on, and whether it ends in the same text."""
        hashes = self._rolling.hash_runs(length)
        owners = self.owners
        return hashes, np.equal(owners[: len(hashes)], owners[length - 1 :][: len(hashes)])

    def is_at(self, place: int, length: int, run: np.uint64) -> bool:
        """Whether the run with that hash stands at a word."""
        end = place + length
        inside = end <= len(self.owners) and self.owners[place] == self.owners[end - 1]
        return bool(inside and self.hash(np.array([place]), np.array([end]))[0] == run)

    def locate(self, place: int) -> tuple[int, int]:
        """The text of a word, and its place in there."""
        row = int(self.owners[place])
        return row, place - int(self._words.offsets[row])

    def count_distinct(self, places: Places, length: int) -> Places:
        """How many different words the runs at these places have."""
        runs = np.sort(self._words.hashes[places[:, None] + np.arange(length)], axis=1)
        distinct: Places = (runs[:, 1:] != runs[:, :-1]).sum(axis=1) + 1
        return distinct


class RunTable:
    """Hashes of runs, and the text of each."""

    def __init__(self, hashes: Hashes, rows: Places) -> None:
        order = np.lexsort((rows, hashes))
        self._hashes, self._rows = hashes[order], rows[order]
        # Most runs are in no benchmark; a look at one flag tells so.
        bits = len(hashes).bit_length() + SPARE_BITS
        self._shift = np.uint64(64 - bits)
        self._flags = np.zeros(1 << bits, dtype=np.bool_)
        self._flags[hashes >> self._shift] = True

    def find(self, hashes: Hashes, wanted: Bools) -> list[tuple[int, int]]:
        """(place in `hashes`, text here) of each hash that is wanted and here, by place and text."""
        places = np.flatnonzero(self._flags[hashes >> self._shift] & wanted)
        if not len(places):
            return []
        starts = np.searchsorted(self._hashes, hashes[places], side="left")
        here = self._hashes[np.minimum(starts, len(self._hashes) - 1)] == hashes[places]
        places, starts = places[here], starts[here]
        sizes = np.searchsorted(self._hashes, hashes[places], side="right") - starts
        spots = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return list(zip(np.repeat(places, sizes).tolist(), self._rows[spots].tolist(), strict=True))
