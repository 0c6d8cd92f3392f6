"""Hashes and the texts that they belong to, to look many other hashes up in at once."""

from collections.abc import Iterator

import numpy as np

from multifaceted.similar.words import Bools, Hashes, Places, list_runs

SPARE_BITS = 2  # of a filter: of 4 to 8 flags one is set
FOUND_AT_ONCE = 1 << 18


class HashTable:
    """Hashes, each with the text it is from; several texts may have the same, given in ascending order."""

    def __init__(self, hashes: Hashes, texts: Places) -> None:
        order = np.argsort(hashes, kind="stable")  # linear where `hashes` are two sorted parts
        self._hashes, self._texts = hashes[order], texts[order]
        # Most of what is looked up is not here, and a look at two flags nearly always tells so.
        bits = len(hashes).bit_length() + SPARE_BITS
        self._shift, self._mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        self._upper, self._lower = np.zeros((2, 1 << bits), dtype=np.bool_)
        self._upper[hashes >> self._shift] = True
        self._lower[hashes & self._mask] = True

    def join(self, other: "HashTable", shift: int) -> "HashTable":
        """Make one of both; the texts of the other are counted from `shift` on, behind all of ours."""
        hashes = np.concatenate((self._hashes, other._hashes))
        return HashTable(hashes, np.concatenate((self._texts, other._texts + shift)))

    def find(self, hashes: Hashes, wanted: Bools | None = None) -> tuple[Places, Places]:
        """(place in `hashes`, text here) of each hash that is wanted and here, by place and text."""
        places, starts, sizes = self._locate(hashes, wanted)
        return np.repeat(places, sizes), self._texts[list_runs(starts, sizes)]

    def find_in_parts(self, hashes: Hashes) -> Iterator[tuple[Places, Places]]:
        """Find the same in parts, so that memory stays bounded however many texts share a hash."""
        places, starts, sizes = self._locate(hashes, None)
        edges = np.flatnonzero(np.diff(np.cumsum(sizes) // FOUND_AT_ONCE)) + 1
        for some, first, size in zip(
            *(np.split(all_, edges) for all_ in (places, starts, sizes)), strict=True
        ):
            yield np.repeat(some, size), self._texts[list_runs(first, size)]

    def find_here(self, hashes: Hashes) -> Places:
        """Find the places of those hashes that are here."""
        return self._locate(hashes, None)[0]

    def _locate(self, hashes: Hashes, wanted: Bools | None) -> tuple[Places, Places, Places]:
        """Of each hash that is here its place in `hashes`, where its texts begin, and how many there are."""
        flags = self._upper[hashes >> self._shift]
        places = np.flatnonzero(flags if wanted is None else flags & wanted)
        places = places[self._lower[hashes[places] & self._mask]]
        starts = np.searchsorted(self._hashes, hashes[places], side="left")
        sizes = np.searchsorted(self._hashes, hashes[places], side="right") - starts
        here = sizes > 0
        return places[here], starts[here], sizes[here]
