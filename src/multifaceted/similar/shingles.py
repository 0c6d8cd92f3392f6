"""Texts as sets of shingles (runs of a few words), the MinHash signatures of these sets, and true Jaccard."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from multifaceted.similar.words import (
    Bools,
    Hashes,
    Places,
    Rolling,
    Words,
    hash_words,
    list_runs,
    mix,
    split_batches,
)

SEED = 42  # of the permutations; part of which pairs are found, so it never changes
MISSED = 0.002  # of the pairs that are exactly as similar as the threshold, the share that may go unseen
OWNER_BITS = 16  # of a sorting key, so that one plain sort sorts many sets at once
MOST_OWNERS = 1 << OWNER_BITS
PAIRS_AT_ONCE = 4096
SPACELESS_RUN = 3  # characters that stand for a word where only the set of words counts
_SHIFT = np.uint64(64 - OWNER_BITS)
_MASK = np.uint64((1 << (64 - OWNER_BITS)) - 1)


@dataclass(frozen=True)
class Shingles:
    """The shingles of some texts, one text after another."""

    hashes: Hashes  # of 48 bits
    offsets: Places  # of each text's first shingle, and at the end the number of shingles

    @cached_property
    def sizes(self) -> Places:
        """Shingles of each text."""
        return np.diff(self.offsets)

    def distinct(self) -> "Shingles":
        """Return each text's shingles once, sorted."""
        parts = [self._distinct(start) for start in range(0, len(self.sizes), MOST_OWNERS)]
        return join_shingles(parts)

    def take(self, texts: Places) -> "Shingles":
        """Pick some texts."""
        sizes = self.sizes[texts]
        hashes = self.hashes[list_runs(self.offsets[texts], sizes)]
        return Shingles(hashes, np.concatenate(([0], np.cumsum(sizes))))

    def _distinct(self, start: int) -> "Shingles":
        offsets = self.offsets[start : start + MOST_OWNERS + 1]
        keys = _mark(Shingles(self.hashes[offsets[0] : offsets[-1]], offsets))
        keys.sort()
        keys = keys[np.concatenate((np.ones(min(len(keys), 1), np.bool_), keys[1:] != keys[:-1]))]
        sizes = np.bincount((keys >> _SHIFT).astype(np.int64), minlength=len(offsets) - 1)
        return Shingles(keys & _MASK, np.concatenate(([0], np.cumsum(sizes))))


def shingle_texts(texts: Sequence[str], length: int) -> Iterator[Shingles]:
    """Yield the shingles of texts, batch by batch, in order; repeated where a text repeats itself."""
    for start, stop in split_batches(texts):
        yield make_shingles(hash_words(texts[start:stop], signs=True), length)


def make_shingles(words: Words, length: int) -> Shingles:
    """The runs of `length` words of each text; a shorter text is one shingle, an empty one has none.

    In texts that are mostly written without spaces runs are twice as long: a word is two characters, about.
    """
    counts = words.counts
    lengths = np.where(_are_spaceless(words), 2 * length, length)
    sizes = np.where(counts >= lengths, counts - lengths + 1, np.minimum(counts, 1))
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    starts = list_runs(words.offsets[:-1], sizes)
    ends = starts + np.repeat(np.minimum(counts, lengths), sizes)
    hashes = Rolling(words.hashes).hash(starts, ends) ^ np.repeat(_name_salts(words), sizes)
    return Shingles(hashes & _MASK, offsets)


def _are_spaceless(words: Words) -> Bools:
    """Return of each text whether most of its words are single characters of a script without spaces."""
    if not words.spaceless.any():
        return np.zeros(len(words), np.bool_)
    sums = np.concatenate(([0], np.cumsum(words.spaceless)))
    most: Bools = 2 * np.diff(sums[words.offsets]) > words.counts
    return most


def _name_salts(words: Words) -> Hashes:
    """Of each text a number for the names in it, such as C#: texts with other names share no shingle."""
    salts = np.zeros(len(words), np.uint64)
    places = np.flatnonzero(words.names)
    if len(places):
        owners = np.searchsorted(words.offsets, places, side="right") - 1
        pairs = np.unique(np.stack((owners.astype(np.uint64), words.hashes[places])), axis=1)
        np.add.at(salts, pairs[0].astype(np.int64), mix(pairs[1]))
    return salts


def make_word_sets(texts: Sequence[str]) -> Shingles:
    """Make the set of the words of each text: distinct, without their order.

    In scripts without spaces runs of three characters stand for words: nearly all long texts in Thai have the
    same characters.
    """
    parts = []
    for start, stop in split_batches(texts):
        words = hash_words(texts[start:stop], signs=True)
        hashes, alone = words.hashes, np.flatnonzero(words.spaceless)
        if len(alone):
            ends = np.repeat(words.offsets[1:], words.counts)[alone]
            hashes[alone] = Rolling(hashes).hash(alone, np.minimum(alone + SPACELESS_RUN, ends))
        parts.append(Shingles(hashes & _MASK, words.offsets).distinct())
    return join_shingles(parts)


def join_shingles(parts: Sequence[Shingles]) -> Shingles:
    """Several batches as one."""
    hashes = [np.empty(0, np.uint64), *(part.hashes for part in parts)]
    sizes = [np.zeros(1, np.int64), *(part.sizes for part in parts)]
    return Shingles(np.concatenate(hashes), np.cumsum(np.concatenate(sizes)))


def measure_pairs(
    left: Shingles, lefts: Places, right: Shingles, rights: Places, *, least: float = 0
) -> npt.NDArray[np.float64]:
    """True Jaccard of each pair of texts, `left[lefts[i]]` and `right[rights[i]]`; 0 where both are empty.

    Both sides must be distinct. Pairs that cannot reach `least`, by their sizes, are not measured: 0.
    """
    sizes = np.stack((left.sizes[lefts], right.sizes[rights]))
    bounds = sizes.min(axis=0) / np.maximum(sizes.max(axis=0), 1)
    jaccards = np.zeros(len(lefts))
    likely = np.flatnonzero((bounds >= least) & (bounds > 0))
    jaccards[likely] = _measure(left, lefts[likely], right, rights[likely])
    return jaccards


def choose_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Bands and rows of each, so that at most `MISSED` of the pairs at the threshold share no band.

    A pair of Jaccard s shares a band of r rows with probability s**r, and one of b bands with
    1 - (1 - s**r)**b (Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4).
    """
    for rows in range(permutations, 1, -1):
        bands = permutations // rows
        if (1 - threshold**rows) ** bands <= MISSED:
            return bands, rows
    return permutations, 1


def make_band_keys(shingles: Shingles, bands: int, rows: int) -> Hashes:
    """A hash of each band of each text's MinHash signature, shape (texts, bands); no two bands share any."""
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes, shingles.offsets.astype(np.uint64), bands * rows, SEED
    )
    values = array("I")  # takes lists in half the time that numpy takes
    for signature in matrix.to_rows():
        values.fromlist(signature)
    signatures = np.frombuffer(values, dtype=np.uint32).reshape(-1, bands, rows)
    keys = np.tile(np.arange(bands, dtype=np.uint64), (len(signatures), 1))
    for row in range(rows):
        keys = mix(keys * np.uint64(31) + signatures[:, :, row] + np.uint64(1))
    return keys


def _measure(left: Shingles, lefts: Places, right: Shingles, rights: Places) -> npt.NDArray[np.float64]:
    """Measure pairs of texts that are not empty."""
    found = [np.empty(0)]
    for start in range(0, len(lefts), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        ones, others = left.take(lefts[part]), right.take(rights[part])
        keys = np.concatenate((_mark(ones), _mark(others)))
        keys.sort()
        # A shingle of both texts of a pair stands twice now; each text has it once.
        twice = (keys[1:][keys[1:] == keys[:-1]] >> _SHIFT).astype(np.int64)
        shared = np.bincount(twice, minlength=len(ones.sizes))
        found.append(shared / (ones.sizes + others.sizes - shared))
    return np.concatenate(found)


def _mark(shingles: Shingles) -> Hashes:
    """Put the number of its text into the upper bits of each shingle."""
    owners = np.repeat(np.arange(len(shingles.sizes), dtype=np.uint64), shingles.sizes)
    marked: Hashes = shingles.hashes | (owners << _SHIFT)
    return marked
