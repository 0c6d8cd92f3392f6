"""`datasets` builders for people who load straight from a run folder or a built folder."""

from multifaceted.builders.multifaceted_collection import MultifacetedCollection

__all__ = ["MultifacetedCollection"]
