"""Hashes and the texts that they belong to, to look many other hashes up in at once."""

import numpy as np

from multifaceted.similar.words import Bools, Hashes, Places

SPARE_BITS = 4  # of a filter: 1 of 16 flags is set


class HashTable:
    """Hashes, each with the text it is from; several texts may have the same."""

    def __init__(self, hashes: Hashes, texts: Places) -> None:
        order = np.lexsort((texts, hashes))
        self._hashes, self._texts = hashes[order], texts[order]
        # Most of what is looked up is not here, and a look at two flags nearly always tells so.
        bits = len(hashes).bit_length() + SPARE_BITS
        self._shift, self._mask = np.uint64(64 - bits), np.uint64((1 << bits) - 1)
        self._upper, self._lower = np.zeros((2, 1 << bits), dtype=np.bool_)
        self._upper[hashes >> self._shift] = True
        self._lower[hashes & self._mask] = True

    def find(self, hashes: Hashes, wanted: Bools | None = None) -> tuple[Places, Places]:
        """(place in `hashes`, text here) of each hash that is wanted and here, by place and text."""
        flags = self._upper[hashes >> self._shift]
        places = np.flatnonzero(flags if wanted is None else flags & wanted)
        places = places[self._lower[hashes[places] & self._mask]]
        if not len(places):
            return places, places
        starts = np.searchsorted(self._hashes, hashes[places], side="left")
        here = self._hashes[np.minimum(starts, len(self._hashes) - 1)] == hashes[places]
        places, starts = places[here], starts[here]
        sizes = np.searchsorted(self._hashes, hashes[places], side="right") - starts
        spots = np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return np.repeat(places, sizes), self._texts[spots]
