"""Seeded sampling of preference sets: `sample_preference_sets(taxonomy, key="gsm8k-12", n=3)`.

Nodes are ranked by a hash of key and id (rendezvous hashing), not drawn from a random generator: the
result is the same in every process and Python version, and a node added to the taxonomy moves few samples.
"""

from collections.abc import Iterable
from itertools import zip_longest
from typing import TypeVar

from multifaceted.errors import InputError, Problem
from multifaceted.ids import rank_digest
from multifaceted.taxonomy.model import Dimension, Preference, PreferenceSet, Subdimension, Taxonomy

_Ranked = TypeVar("_Ranked", Subdimension, Preference)


def sample_preference_sets(taxonomy: Taxonomy, key: str, *, n: int = 3) -> list[PreferenceSet]:
    """Draw `n` preference sets for `key`.

    The sets differ in the subdimension of every dimension that has at least `n` of them; where it has
    fewer, subdimensions recur with another preference, as long as there is one.

    Args:
        taxonomy: where to draw from.
        key: what the draw is for, usually a seed and an instruction's id. Equal keys give equal sets.
        n: how many sets.

    Raises:
        InputError: where a dimension has no preference.
    """
    columns = [_sample_dimension(dimension, key, n) for dimension in taxonomy.dimensions]
    return [PreferenceSet(preferences=row) for row in zip(*columns, strict=True)]


def rank_by_key(nodes: Iterable[_Ranked], key: str) -> list[_Ranked]:
    """Order nodes by a hash of `key` and their id: a shuffle that any process repeats."""
    digest = rank_digest(key)
    return sorted(nodes, key=lambda node: digest(node.id))


def _sample_dimension(dimension: Dimension, key: str, n: int) -> list[Preference]:
    subdimensions = rank_by_key(dimension.subdimensions, key)
    ranked = [rank_by_key(sub.preferences, key) for sub in subdimensions[:n]]
    # Each subdimension's first preference, then each one's second: none recurs before all were drawn.
    drawn = [preference for turn in zip_longest(*ranked) for preference in turn if preference is not None]
    if not drawn:
        raise InputError([Problem(dimension.id, 0, "has no preference to draw")])
    return [drawn[index % len(drawn)] for index in range(n)]
