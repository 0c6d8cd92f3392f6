"""The preference taxonomy: load, look up, extend, compare and sample it.

Example:
    >>> from multifaceted.taxonomy import load_taxonomy, sample_preference_sets
    >>> [one, two, three] = sample_preference_sets(load_taxonomy(), key="my-instruction")
"""

from multifaceted.taxonomy.diff import TaxonomyDiff, diff_taxonomies
from multifaceted.taxonomy.load import default_file, dump_taxonomy, load_taxonomy, taxonomy_schema
from multifaceted.taxonomy.model import Dimension, Preference, PreferenceSet, Subdimension, Taxonomy
from multifaceted.taxonomy.sample import rank_by_key, sample_preference_sets

__all__ = [
    "Dimension",
    "Preference",
    "PreferenceSet",
    "Subdimension",
    "Taxonomy",
    "TaxonomyDiff",
    "default_file",
    "diff_taxonomies",
    "dump_taxonomy",
    "load_taxonomy",
    "rank_by_key",
    "sample_preference_sets",
    "taxonomy_schema",
]
