"""Near duplicates among texts that come batch by batch.

    stream = NearStream(NearSpec(threshold=0.7))
    stream.add(["Why is the sky blue today?"])           # []
    stream.add(["Why is the sky blue today?", "Other"])  # [NearMatch(row=1, kept=0, jaccard=1.0)]

A text that is near to an earlier one that is kept is not kept itself. How texts are cut into batches makes no
difference: only texts that share a band key are ever compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from multifaceted.similar.clusters import choose_kept, cluster_rows
from multifaceted.similar.index import NearIndex
from multifaceted.similar.near import NearMatch, NearSpec, distinct_shingles
from multifaceted.similar.shingles import Shingles, choose_bands, make_band_keys, measure_pairs
from multifaceted.similar.words import Hashes, Places

LARGE_INDEX = 1 << 15  # texts; joining copies, so a larger one is joined with no later one


@dataclass(frozen=True)
class _Batch:
    """Texts to decide about: each one's number in the stream, its band keys and its shingles."""

    rows: Places
    keys: Hashes
    shingles: Shingles

    def drop(self, positions: Places) -> "_Batch":
        left = np.setdiff1d(np.arange(len(self.rows)), positions)
        return _Batch(self.rows[left], self.keys[left], self.shingles.take(left))


class NearStream:
    """Finds near duplicates; remembers band keys and shingles of what is kept."""

    def __init__(self, spec: NearSpec) -> None:
        self._spec = spec
        self._seen = 0  # texts
        self._kept: list[NearIndex] = []  # oldest first; each is large, or twice as large as the next

    def add(self, texts: Sequence[str]) -> list[NearMatch]:
        """Find the texts that are near to an earlier one that is kept.

        Returns:
            One match for each text that is not kept, by row; rows are counted over all batches.
        """
        batch = self._sign(texts)
        matches: list[NearMatch] = []
        for index in self._kept:
            near, others, jaccards = index.find_near(batch.keys, batch.shingles)
            near, first = np.unique(near, return_index=True)
            columns = (batch.rows[near], others[first], jaccards[first])
            matches += map(NearMatch, *(column.tolist() for column in columns))
            batch = batch.drop(near)
        found = self._compare(batch)
        rows = batch.rows.tolist()
        matches += (NearMatch(rows[row], rows[kept], jaccard) for row, kept, jaccard in found)
        self._keep(batch.drop(np.array([row for row, *_ in found], dtype=np.int64)))
        return sorted(matches, key=lambda match: match.row)

    def _sign(self, texts: Sequence[str]) -> _Batch:
        shingles = distinct_shingles(texts, self._spec)
        worded = np.flatnonzero(shingles.sizes)  # a text without a word is near to none
        shingles = shingles.take(worded)
        keys = make_band_keys(shingles, *choose_bands(self._spec.threshold, self._spec.permutations))
        rows = self._seen + worded
        self._seen += len(texts)
        return _Batch(rows, keys, shingles)

    def _compare(self, batch: _Batch) -> list[tuple[int, int, float]]:
        """Find (position, position of the first kept text near to it, Jaccard) of those that are not kept."""
        keys, shingles, threshold = batch.keys, batch.shingles, self._spec.threshold

        def measure(lefts: Places, rights: Places) -> npt.NDArray[np.float64]:
            # Rows of one cluster may share no key. In two batches they would not be compared.
            jaccards = measure_pairs(shingles, lefts, shingles, rights, least=threshold)
            return np.where((keys[lefts] == keys[rights]).any(axis=1), jaccards, 0)

        return list(choose_kept(cluster_rows(keys, measure, threshold).lists(), measure, threshold))

    def _keep(self, batch: _Batch) -> None:
        """Remember texts. Indexes of similar size become one, so that there are few to look texts up in."""
        if not len(batch.rows):
            return
        index = NearIndex.build(batch.keys, batch.shingles, batch.rows, self._spec)
        while self._kept and len(self._kept[-1]) < min(2 * len(index), LARGE_INDEX):
            index = self._kept.pop().join(index)
        self._kept.append(index)
