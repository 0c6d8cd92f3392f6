"""Curation of a run's rows: which to leave out of what is built, and why. Nothing is deleted.

A filter of one's own is a small class:

    class TooPolite(RowFilter):
        name = "too_polite"
        summary = "the response thanks its reader too often"
        times: int = 3

        def find(self, rows: pl.DataFrame) -> pl.DataFrame:
            return rows.filter(pl.col("output").str.count_matches("(?i)thank you") > self.times)
"""

from multifaceted.curation.base import Filter, RowFilter, RunFilter, RunFinder, VariantFilter

__all__ = ["Filter", "RowFilter", "RunFilter", "RunFinder", "VariantFilter"]
