"""What changed between two taxonomies, by id, and which semantic version that asks for.

`diff(old, new).bump` is `major` where an id went away, `minor` where one came, else `patch`.
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
        """The least semantic-version step that tells users the truth about this change."""
        if self.removed:
            return "major"
        if self.added:
            return "minor"
        return "patch" if self.changed else "none"


def diff(old: Taxonomy, new: Taxonomy) -> TaxonomyDiff:
    """Compare two taxonomies by id: a renamed slug shows as one removed and one added."""
    fields = ("name", "description")
    changed = {
        node_id: differing
        for node_id, node in old.nodes.items()
        if (twin := new.nodes.get(node_id))
        and (differing := tuple(name for name in fields if getattr(node, name) != getattr(twin, name)))
    }
    return TaxonomyDiff(
        added=tuple(node_id for node_id in new.nodes if node_id not in old.nodes),
        removed=tuple(node_id for node_id in old.nodes if node_id not in new.nodes),
        changed=changed,
    )
