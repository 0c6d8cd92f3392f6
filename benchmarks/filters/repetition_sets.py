"""Loops in 183,000 answers of 227 models, of those that compress to a quarter; read and labelled by us."""

from collections import Counter
from collections.abc import Iterator

from answers import make_labelled, make_strong
from cases import Case, CaseSet

_MOST_LINES = 0.3  # Gopher's bound for lines that were there before (Rae et al. 2021, table A1)


def make_loops() -> Iterator[Case]:
    """A loop is what the model says again word for word, unasked, until it stops or is stopped."""
    yield from make_labelled("repetition")


def has_same_lines(case: Case) -> bool:
    """Return whether too many lines were there before."""
    lines = [line.strip() for line in case.output.split("\n") if line.strip()]
    again = sum(count - 1 for count in Counter(lines).values())
    return again > _MOST_LINES * max(len(lines), 1)


SETS = (
    CaseSet("AlpacaEval, 227 models", ("repetition",), "read by us", make_loops, has_same_lines),
    CaseSet(
        "AlpacaEval, strong models", ("repetition", "degenerate"), "all good", make_strong, has_same_lines
    ),
)
