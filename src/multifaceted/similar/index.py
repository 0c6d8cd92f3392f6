"""Texts to look near duplicates of others up in: `NearIndex.of(benchmark, NearSpec()).match(texts)`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from multifaceted.similar.near import NearSpec, distinct_shingles, sign_texts
from multifaceted.similar.shingles import Shingles, join_shingles, measure_pairs
from multifaceted.similar.table import HashTable
from multifaceted.similar.words import Hashes, Places

NearPairs: TypeAlias = tuple[Places, Places, npt.NDArray[np.float64]]  # rows, others, Jaccards


@dataclass(frozen=True, slots=True)
class CrossMatch:
    """The text of another set that a text is most similar to."""

    row: int
    other: int
    jaccard: float


@dataclass(frozen=True)
class NearIndex:
    """Texts by their band keys."""

    spec: NearSpec
    table: HashTable  # band keys, with the texts' positions here
    shingles: Shingles
    rows: Places  # of each text the number that others know it by, ascending

    @classmethod
    def of(cls, texts: Sequence[str], spec: NearSpec) -> "NearIndex":
        """Index texts."""
        return cls.build(sign_texts(texts, spec), distinct_shingles(texts, spec), np.arange(len(texts)), spec)

    @classmethod
    def build(cls, keys: Hashes, shingles: Shingles, rows: Places, spec: NearSpec) -> "NearIndex":
        """Index texts by what has been made of them: band keys, distinct shingles, and their numbers."""
        table = HashTable(keys.ravel(), np.repeat(np.arange(len(keys)), keys.shape[1]))
        return cls(spec, table, shingles, rows)

    def __len__(self) -> int:
        return len(self.rows)

    def join(self, other: "NearIndex") -> "NearIndex":
        """Make one of both; the rows of the other come behind ours."""
        return NearIndex(
            self.spec,
            self.table.join(other.table, len(self)),
            join_shingles([self.shingles, other.shingles]),
            np.concatenate((self.rows, other.rows)),
        )

    def match(self, texts: Sequence[str], *, keys: Hashes | None = None) -> Iterator[CrossMatch]:
        """For each text that is near to one of ours, the most similar; the first where several are.

        `keys` are the texts' band keys, where they have been made with our spec already.
        """
        keys = sign_texts(texts, self.spec) if keys is None else keys
        wanted = np.unique(self.table.find_here(keys.ravel()) // keys.shape[1])
        shingles = distinct_shingles([texts[row] for row in wanted.tolist()], self.spec)
        rows, others, jaccards = self.find_near(keys[wanted], shingles)
        order = np.lexsort((-jaccards, rows))
        best = order[np.unique(rows[order], return_index=True)[1]]
        for row, other, jaccard in zip(wanted[rows[best]], others[best], jaccards[best], strict=True):
            yield CrossMatch(int(row), int(other), float(jaccard))

    def find_near(self, keys: Hashes, shingles: Shingles) -> NearPairs:
        """Find all texts of ours that share a key with one of these and are near to it, by row and other."""
        found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        for places, sharing in self.table.find_in_parts(keys.ravel()):
            pairs = np.unique(places // keys.shape[1] * len(self) + sharing)
            rows, others = np.divmod(pairs, len(self))
            jaccards = measure_pairs(shingles, rows, self.shingles, others, least=self.spec.threshold)
            near = jaccards >= self.spec.threshold
            found.append((rows[near], self.rows[others[near]], jaccards[near]))
        rows, others, jaccards = map(np.concatenate, zip(*found, strict=True))
        order = np.lexsort((others, rows))
        return rows[order], others[order], jaccards[order]
