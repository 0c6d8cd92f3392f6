"""A seeded, stratified sample: quotas first, then the size, shared out by weight, and in a source by strata.

A row's rank depends on the seed and its id only. So a larger sample of the same strata holds the smaller
ones, and rows that come or go change little.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from multifaceted.ids import rank_digest
from multifaceted.instructions.sources import SourcesRecipe

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Drawable:
    """What of a row matters to the sample."""

    number: int
    id: str
    pool: int
    source: str


def draw_sample(rows: Sequence[Drawable], recipe: SourcesRecipe) -> dict[int, str]:
    """Choose what is left out.

    Returns:
        Why, for each row that is not in the sample, by its number.
    """
    left_out: dict[int, str] = {}
    digest = rank_digest(f"sample:{recipe.sample.seed}")
    ranked = sorted(rows, key=lambda row: digest(row.id))
    by_source = _group(ranked, lambda row: row.source)
    for source, quota in recipe.sample.quotas.items():
        for row in by_source.get(source, [])[quota:]:
            left_out[row.number] = f"over the quota of {source}"
    pools = _group((row for row in ranked if row.number not in left_out), lambda row: row.pool)
    wanted = _pool_sizes({pool: len(found) for pool, found in pools.items()}, recipe)
    for pool, found in pools.items():
        strata = _group(found, lambda row: row.source)
        sizes = {source: len(members) for source, members in strata.items()}
        shares = share_out(wanted[pool], sizes, {source: float(size) for source, size in sizes.items()})
        for source, members in strata.items():
            for row in members[shares[source] :]:
                left_out[row.number] = (
                    f"{recipe.sources[pool].label}: {wanted[pool]:,} of {len(found):,} are drawn"
                )
    return left_out


def share_out(total: int, capacities: Mapping[K, int], weights: Mapping[K, float]) -> dict[K, int]:
    """Share `total` out by weight, to none more than its capacity; what one cannot take goes to the others.

    Rounded by largest remainder, at ties the first.
    """
    shares = dict.fromkeys(capacities, 0)
    left, open_keys = min(total, sum(capacities.values())), [key for key, most in capacities.items() if most]
    while left and open_keys:
        weight = sum(weights[key] for key in open_keys)
        ideal = {key: left * weights[key] / weight for key in open_keys}
        full = [key for key in open_keys if ideal[key] >= capacities[key]]
        if not full:
            return shares | _round(ideal, left)
        for key in full:
            shares[key] = capacities[key]
            left -= capacities[key]
        open_keys = [key for key in open_keys if key not in full]
    return shares


def _round(ideal: dict[K, float], total: int) -> dict[K, int]:
    shares = {key: int(share) for key, share in ideal.items()}
    by_remainder = sorted(ideal, key=lambda key: shares[key] - ideal[key])
    for key in by_remainder[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


def _pool_sizes(available: dict[int, int], recipe: SourcesRecipe) -> dict[int, int]:
    quotas = {pool: recipe.sources[pool].quota for pool in available}
    most = {
        pool: min(rows, rows if (quota := quotas[pool]) is None else quota)
        for pool, rows in available.items()
    }
    if recipe.sample.size is None:
        return most
    weights = {pool: recipe.sources[pool].weight or float(rows) for pool, rows in most.items()}
    return share_out(recipe.sample.size, most, weights)


def _group(rows: Iterable[Drawable], key: Callable[[Drawable], K]) -> dict[K, list[Drawable]]:
    groups: defaultdict[K, list[Drawable]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return dict(groups)
