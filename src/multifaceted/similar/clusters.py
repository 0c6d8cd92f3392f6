"""Clusters of similar rows: pairs that LSH proposes are measured, and joined by union-find."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from multifaceted.similar.words import Hashes, Places

Measure = Callable[[Places, Places], npt.NDArray[np.float64]]  # true Jaccard of pairs of rows

SMALL = 8  # rows that share a key: up to here all their pairs are measured at once


class Clusters:
    """Union-find over rows; the root of a cluster is its first row."""

    def __init__(self, size: int) -> None:
        self._roots = np.arange(size)

    def same(self, lefts: Places, rights: Places) -> npt.NDArray[np.bool_]:
        """Of each pair of rows, whether both are in one cluster."""
        return np.equal(self._roots[lefts], self._roots[rights])

    def join(self, lefts: Places, rights: Places) -> None:
        """Make the clusters of each pair of rows one."""
        above = self._roots
        for one, other in zip(lefts.tolist(), rights.tolist(), strict=True):
            first, second = sorted((_find_root(above, one), _find_root(above, other)))
            above[second] = first
        while not np.array_equal(above, above[above]):
            above = above[above]
        self._roots = above

    def lists(self) -> list[list[int]]:
        """Return the clusters of two rows and more, rows and clusters in order."""
        members: dict[int, list[int]] = {}
        for row, root in enumerate(self._roots.tolist()):
            members.setdefault(root, []).append(row)
        return [rows for rows in members.values() if len(rows) > 1]


def find_sharing(keys: Hashes) -> Places:
    """Return the rows that share a key with another row in some band."""
    shares = np.zeros(len(keys), dtype=np.bool_)
    for order, starts, sizes in _groups_by_band(keys):
        edges = np.zeros(len(keys) + 1, dtype=np.int64)
        edges[starts] += 1
        edges[starts + sizes] -= 1
        shares[order[np.cumsum(edges[:-1]) > 0]] = True
    return np.flatnonzero(shares)


def cluster_rows(keys: Hashes, measure: Measure, threshold: float) -> Clusters:
    """Cluster rows by their band keys: two rows that share a key are joined if they are similar enough.

    Pairs whose rows are in one cluster already need no measuring: it would change nothing.
    """
    clusters = Clusters(len(keys))
    refused = np.empty(0, dtype=np.int64)
    for order, starts, sizes in _groups_by_band(keys):
        pairs = np.unique(_pairs_of_small(order, starts, sizes, len(keys)))
        pairs = pairs[~np.isin(pairs, refused, assume_unique=True)]
        lefts, rights = np.divmod(pairs, max(len(keys), 1))
        apart = ~clusters.same(lefts, rights)
        lefts, rights = lefts[apart], rights[apart]
        jaccards = measure(lefts, rights)
        similar = jaccards >= threshold
        clusters.join(lefts[similar], rights[similar])
        refused = np.union1d(refused, pairs[apart][~similar])
        for start, size in zip(starts[sizes > SMALL], sizes[sizes > SMALL], strict=True):
            _join_large(np.sort(order[start : start + size]), measure, threshold, clusters)
    return clusters


def choose_kept(
    clusters: list[list[int]], measure: Measure, threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Go through each cluster in order and keep what is not similar to a kept row of it.

    A cluster may be a chain, whose ends have little in common: more than its first row is kept then.

    Yields:
        (row, kept, jaccard) for each row that is not kept, and the first kept row that it is similar to.
    """
    owners = np.repeat(np.arange(len(clusters)), [len(cluster) for cluster in clusters])
    rows = np.array([row for cluster in clusters for row in cluster], dtype=np.int64)
    while len(rows):
        present, firsts, places = np.unique(owners, return_index=True, return_inverse=True)
        heads = rows[firsts][places]
        others = rows != heads
        rows, heads, owners = rows[others], heads[others], present[places][others]
        jaccards = measure(heads, rows)
        similar = jaccards >= threshold
        columns = (rows[similar], heads[similar], jaccards[similar])
        yield from zip(*(column.tolist() for column in columns), strict=True)
        rows, owners = rows[~similar], owners[~similar]


def _groups_by_band(keys: Hashes) -> Iterator[tuple[Places, Places, Places]]:
    """For each band its rows by key, and where in them the groups of two and more begin, and their sizes.

    Bands without such groups are left out.

    Rows of equal keys are in no order: sorting them by key alone takes a sixth of the time.
    """
    for band in range(keys.shape[1]):
        order = np.argsort(keys[:, band])
        ordered = keys[order, band]
        edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
        sizes = np.diff(edges)
        if len(sizes) < len(order):
            yield order, edges[:-1][sizes > 1], sizes[sizes > 1]


def _pairs_of_small(order: Places, starts: Places, sizes: Places, count: int) -> Places:
    """Return all pairs of rows of the small groups, each as one number."""
    pairs = [np.empty(0, dtype=np.int64)]
    for size in range(2, SMALL + 1):
        rows = np.sort(order[starts[sizes == size][:, None] + np.arange(size)], axis=1)
        firsts, seconds = np.triu_indices(size, 1)
        pairs.append((rows[:, firsts] * count + rows[:, seconds]).ravel())
    return np.concatenate(pairs)


def _join_large(rows: Places, measure: Measure, threshold: float, clusters: Clusters) -> None:
    """Join the rows of a large group: each is compared with those that are in other clusters by then."""
    for index, row in enumerate(rows[:-1]):
        if clusters.same(np.broadcast_to(rows[0], len(rows)), rows).all():
            return
        others = rows[index + 1 :]
        others = others[~clusters.same(np.broadcast_to(row, len(others)), others)]
        ones = np.full(len(others), row)
        jaccards = measure(ones, others)
        similar = jaccards >= threshold
        clusters.join(ones[similar], others[similar])


def _find_root(above: Places, row: int) -> int:
    root = row
    while above[root] != root:
        root = int(above[root])
    while above[row] != root:
        above[row], row = root, int(above[row])
    return root
