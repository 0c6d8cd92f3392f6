"""`orpo`: the pairs of `dpo`.

Both are published, as the original has them. Their rows are the same here: the original's differ in what its
authors filtered out of each.
"""

from multifaceted.building.config import PublishedConfig
from multifaceted.building.configs.dpo import PAIR_CHECK, PairRow, make_pairs

ORPO = PublishedConfig(
    "orpo",
    kind="collection",
    order=40,
    summary="the pairs of `dpo`",
    model=PairRow,
    make=make_pairs,
    rows="pairs",
    check=PAIR_CHECK,
    tag="orpo",
)
