"""How far two judges agree: Cohen's kappa with quadratic weights, and the share of equal scores.

J. Cohen, "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit",
Psychological Bulletin 70 (1968) 213-220.
"""

from collections import Counter
from collections.abc import Sequence

Pairs = Sequence[tuple[int, int]]


def weigh_kappa(pairs: Pairs) -> float | None:
    """Quadratically weighted kappa of paired scores, 1 at best, 0 as by chance.

    Args:
        pairs: the scores that two judges gave to the same thing.

    Returns:
        None where it is not defined: without pairs, or where both judges always give one same score.
    """
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum((one - other) ** 2 for one, other in pairs)
    by_chance = sum(
        n * m * (one - other) ** 2 for one, n in first.items() for other, m in second.items()
    ) / max(1, len(pairs))
    return 1 - observed / by_chance if by_chance else None


def share_equal(pairs: Pairs) -> float | None:
    """Return the share of equal scores; None without pairs."""
    return sum(one == other for one, other in pairs) / len(pairs) if pairs else None
