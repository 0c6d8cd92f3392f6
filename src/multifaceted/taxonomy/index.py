"""A taxonomy with its look-ups made once, for what looks into it for every row."""

from dataclasses import dataclass
from functools import cached_property

from multifaceted.taxonomy.model import Dimension, Preference, Subdimension, Taxonomy


@dataclass(frozen=True)
class TaxonomyIndex:
    """Look-ups in a taxonomy. They are not kept in it: `model_copy` would carry them over to another one."""

    taxonomy: Taxonomy

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Return every dimension, in order."""
        return self.taxonomy.dimensions

    @cached_property
    def fingerprint(self) -> str:
        """Return the taxonomy's fingerprint."""
        return self.taxonomy.fingerprint

    @cached_property
    def slugs(self) -> tuple[str, ...]:
        """Of the dimensions, in order."""
        return tuple(dimension.slug for dimension in self.dimensions)

    def subdimension_of(self, preference: Preference) -> Subdimension:
        """Return where a preference belongs."""
        return self._subdimensions[preference.id.rsplit("/", 1)[0]]

    @cached_property
    def _subdimensions(self) -> dict[str, Subdimension]:
        return {subdimension.id: subdimension for subdimension in self.taxonomy.subdimensions}
