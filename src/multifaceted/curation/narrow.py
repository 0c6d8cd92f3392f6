"""From the fast to the slow: plain words find the rows that may hold something, patterns look at those."""

import polars as pl


def find_first(column: str, patterns: tuple[str, ...]) -> pl.Expr:
    """Return what the first pattern that matches has found in a text; null where none does."""
    return pl.coalesce(*(pl.col(column).str.extract(pattern, 0) for pattern in patterns))


def narrow(rows: pl.DataFrame, near: pl.Expr, test: pl.Expr) -> pl.DataFrame:
    """Return the rows that pass both; where none is near, no pattern of the test is compiled for nothing."""
    rows = rows.filter(near)
    return rows if rows.is_empty() else rows.filter(test)
