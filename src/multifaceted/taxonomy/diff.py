"""What changed between two taxonomies, by id, and which semantic version that asks for.

`diff_taxonomies(old, new).bump` is `major` where an id went away, `minor` where one came, else `patch`.
"""

from dataclasses import dataclass
from typing import Literal

from multifaceted.taxonomy.model import Taxonomy

Bump = Literal["none", "patch", "minor", "major"]


@dataclass(frozen=True, slots=True)
class TaxonomyDiff:
    """Ids in the order of the taxonomy they stand in; `changed` ids carry the fields that differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]

    @property
    def bump(self) -> Bump:
        """Return the least semantic-version step that tells users the truth about this change."""
        if self.removed:
            return "major"
        if self.added:
            return "minor"
        return "patch" if self.changed else "none"


def diff_taxonomies(old: Taxonomy, new: Taxonomy) -> TaxonomyDiff:
    """Compare two taxonomies by id: a renamed slug shows as one removed and one added."""
    fields = ("name", "description")
    before, after = old.nodes, new.nodes
    changed = {
        node_id: differing
        for node_id, node in before.items()
        if (twin := after.get(node_id))
        and (differing := tuple(name for name in fields if getattr(node, name) != getattr(twin, name)))
    }
    return TaxonomyDiff(
        added=tuple(node_id for node_id in after if node_id not in before),
        removed=tuple(node_id for node_id in before if node_id not in after),
        changed=changed,
    )
