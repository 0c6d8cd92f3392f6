"""Near duplicates: which of many texts say almost the same, by true Jaccard over shingles.

    found = find_near_duplicates(["Why is the sky blue today?", ...], NearSpec(threshold=0.8))
    found.matches[0]   # NearMatch(row=17, kept=3, jaccard=0.93)

MinHash LSH proposes pairs, true Jaccard decides them, union-find joins them to clusters. In each cluster,
in order, a text is kept if it is near to none that is kept already. Texts are gone through and never held:
once for signatures, and those that were proposed once more for their shingles.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from multifaceted.similar.clusters import choose_kept, cluster_rows, find_sharing
from multifaceted.similar.shingles import (
    Shingles,
    choose_bands,
    join_shingles,
    make_band_keys,
    measure_pairs,
    shingle_texts,
)
from multifaceted.similar.task import choose_tasks
from multifaceted.similar.words import Hashes, Places
from multifaceted.strictmodel import StrictModel

Texts: TypeAlias = Sequence[str] | pa.Array | pa.ChunkedArray
Progress: TypeAlias = Callable[[int], None]  # told how many texts were gone through since it was told last

BATCH_TEXTS = 2048


class NearSpec(StrictModel):
    """When two texts are near duplicates."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8  # the least Jaccard
    shingle: Annotated[int, Field(ge=1, le=50)] = 3  # words
    permutations: Annotated[int, Field(ge=16, le=1024)] = 128  # of MinHash: more find more of what is there


@dataclass(frozen=True, slots=True)
class NearMatch:
    """A text that is a near duplicate of an earlier one, which is kept."""

    row: int
    kept: int  # the first text that is kept and near to it
    jaccard: float  # of these two


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What was found among `texts`; clusters and matches are sorted by row."""

    texts: int
    clusters: tuple[tuple[int, ...], ...]  # of two rows and more
    matches: tuple[NearMatch, ...]  # one for each row that is not kept


def find_near_duplicates(
    texts: Texts, spec: NearSpec, *, keys: Hashes | None = None, same_task: bool = False
) -> NearDuplicates:
    """Find the clusters of near duplicates among texts.

    Args:
        texts: a sequence, or an Arrow column of strings, which may be memory-mapped.
        spec: what counts as near.
        keys: their band keys, where `sign_texts` has made them with this spec already.
        same_task: whether near duplicates must ask for the same thing too (`task.py`).
    """
    keys = sign_texts(texts, spec) if keys is None else keys
    rows = find_sharing(keys)
    near = _take(texts, rows)
    shingles = distinct_shingles(near, spec)

    def measure(lefts: Places, rights: Places) -> npt.NDArray[np.float64]:
        return measure_pairs(shingles, lefts, shingles, rights, least=spec.threshold)

    clusters = cluster_rows(keys[rows], measure, spec.threshold).lists()
    found = (
        choose_tasks(clusters, lambda row: str(near[row]), measure, spec.threshold)
        if same_task
        else choose_kept(clusters, measure, spec.threshold)
    )
    matches = [NearMatch(int(rows[row]), int(rows[kept]), jaccard) for row, kept, jaccard in found]
    return NearDuplicates(
        texts=len(texts),
        clusters=tuple(tuple(rows[cluster].tolist()) for cluster in clusters),
        matches=tuple(sorted(matches, key=lambda match: match.row)),
    )


def sign_texts(texts: Texts, spec: NearSpec, *, progress: Progress | None = None) -> Hashes:
    """The band keys of each text, shape (texts, bands). Texts without a word get keys that nothing shares.

    Args:
        texts: a sequence, or an Arrow column of strings, which may be memory-mapped.
        spec: what counts as near.
        progress: told how many texts were gone through since it was told last.
    """
    bands, rows = choose_bands(spec.threshold, spec.permutations)
    keys = np.empty((len(texts), bands), dtype=np.uint64)
    done = 0
    for batch in _batches(texts):
        for shingles in shingle_texts(batch, spec.shingle):
            count = len(shingles.sizes)
            keys[done : done + count] = make_band_keys(shingles, bands, rows)
            empty = done + np.flatnonzero(shingles.sizes == 0)
            keys[empty] = empty[:, None]  # small numbers, which a hash is by chance only
            done += count
        if progress:
            progress(len(batch))
    return keys


def distinct_shingles(texts: Texts, spec: NearSpec) -> Shingles:
    """Make the distinct shingles of all texts; these are in memory at once, the texts need not be."""
    parts = (part for batch in _batches(texts) for part in shingle_texts(batch, spec.shingle))
    return join_shingles([part.distinct() for part in parts])


def _batches(texts: Texts) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH_TEXTS):
        part = texts[start : start + BATCH_TEXTS]
        yield list(part) if isinstance(part, Sequence) else part.to_pylist()


def _take(texts: Texts, rows: Places) -> Texts:
    if isinstance(texts, Sequence):
        return [texts[row] for row in rows.tolist()]
    # Chunk by chunk: taking from all at once would first copy the whole column into one chunk.
    taken, start = [], 0
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        first, last = np.searchsorted(rows, (start, start + len(chunk)))
        taken.append(chunk.take(pa.array(rows[first:last] - start)))
        start += len(chunk)
    return pa.chunked_array(taken, type=texts.type)
