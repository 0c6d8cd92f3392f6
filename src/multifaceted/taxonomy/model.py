"""The typed taxonomy: `Taxonomy` → `Dimension` → `Subdimension` → `Preference`, all frozen.

A preference's id joins the slugs on the way to it: `style/clarity/plain-words`.
"""

from collections.abc import Sequence
from typing import Annotated, Self, TypeVar

from pydantic import Field, PrivateAttr, model_validator

from multifaceted.errors import InputError, Problem
from multifaceted.ids import content_id
from multifaceted.strictmodel import StrictModel
from multifaceted.taxonomy.check import find_faults
from multifaceted.yamlfile import show_path

SLUG = r"^[a-z0-9]+(?:[-_][a-z0-9]+)*$"
SEMVER = r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$"

Slug = Annotated[str, Field(pattern=SLUG, max_length=80, description="Stable, lower-case; part of the id.")]
Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
_NodeT = TypeVar("_NodeT", bound="_Node")


class _Node(StrictModel):
    slug: Slug
    name: Text
    description: Text

    _parent: str = PrivateAttr(default="")

    @property
    def id(self) -> str:
        """Return the slugs from the dimension down to here, joined by `/`."""
        # Read where pydantic keeps it: the private attribute itself is found by a slow search, and sampling
        # reads a hundred ids for a row.
        parent = (self.__pydantic_private__ or {}).get("_parent")
        return f"{parent}/{self.slug}" if parent else self.slug

    def _placed_under(self, parent: str) -> Self:
        """Return a copy that knows its parent: the same node may stand in several taxonomies."""
        placed = self.model_copy()
        placed._parent = parent
        return placed


class Preference(_Node):
    """What one reader may want of an answer, in a sentence."""


class Subdimension(_Node):
    """A group of preferences about the same quality, such as clarity."""

    preferences: tuple[Preference, ...]

    def _placed_under(self, parent: str) -> Self:
        placed = super()._placed_under(parent)
        children = tuple(child._placed_under(placed.id) for child in self.preferences)
        return _with(placed, "preferences", children)

    @model_validator(mode="after")
    def _place_children(self) -> Self:
        children = tuple(child._placed_under(self.id) for child in self.preferences)
        return _with(self, "preferences", children)


class Dimension(_Node):
    """One of the independent axes of preference, such as style."""

    subdimensions: tuple[Subdimension, ...]

    @model_validator(mode="after")
    def _place_children(self) -> Self:
        children = tuple(child._placed_under(self.id) for child in self.subdimensions)
        return _with(self, "subdimensions", children)

    @property
    def preferences(self) -> tuple[Preference, ...]:
        """Return every preference of this dimension, in order."""
        return tuple(preference for sub in self.subdimensions for preference in sub.preferences)


Node = Dimension | Subdimension | Preference


class Taxonomy(StrictModel):
    """All dimensions, with a semantic version for people and a content fingerprint for machines.

    Building one in code checks its shape only; `check` lists what else is wrong with it.
    """

    name: Text
    version: Annotated[str, Field(pattern=SEMVER, description="Semantic version, such as 1.0.0.")]
    dimensions: tuple[Dimension, ...]

    def __repr__(self) -> str:
        counts = f"{len(self.dimensions)} dimensions, {len(self.preferences)} preferences"
        return f"<taxonomy {self.name} {self.version}: {counts}>"

    @property
    def subdimensions(self) -> tuple[Subdimension, ...]:
        """Return every subdimension, in order."""
        return tuple(sub for dimension in self.dimensions for sub in dimension.subdimensions)

    @property
    def preferences(self) -> tuple[Preference, ...]:
        """Return every preference, in order."""
        return tuple(preference for dimension in self.dimensions for preference in dimension.preferences)

    # Not cached: `model_copy` would carry a cache over to a taxonomy with other dimensions.
    @property
    def nodes(self) -> dict[str, Node]:
        """Return every node by its id."""
        nodes: list[Node] = [*self.dimensions, *self.subdimensions, *self.preferences]
        return {node.id: node for node in nodes}

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the content: the dimensions and all below. Name and version do not count."""
        return content_id(["taxonomy", self.model_dump(mode="json")["dimensions"]])

    def check(self) -> list[Problem]:
        """Return every fault that its shape alone does not show, sorted by place; empty where it is sound."""
        faults = find_faults(self.model_dump(mode="json"))
        return sorted(Problem(self.name, 0, message, show_path(path)) for path, message in faults)

    def get(self, node_id: str) -> Node:
        """Look a node up by its id.

        Raises:
            KeyError: where there is none.
        """
        return self.nodes[node_id]

    def add(self, dimension: Dimension) -> "Taxonomy":
        """Return a taxonomy with one dimension more, at the end.

        Raises:
            InputError: where a dimension of that slug is there already.
        """
        if dimension.slug in self.nodes:
            raise InputError([Problem(self.name, 0, f"dimension {dimension.slug!r} is there already")])
        return self.model_copy(update={"dimensions": (*self.dimensions, dimension)})

    def merge(self, other: "Taxonomy") -> "Taxonomy":
        """Return a taxonomy with all that `other` has and this one lacks; the name and version stay.

        Raises:
            InputError: with every node that both have with different words.
        """
        nodes = self.nodes
        conflicts = [
            Problem(self.name, 0, f"{node_id!r} says something else in {other.name!r}")
            for node_id, node in other.nodes.items()
            if (mine := nodes.get(node_id)) and _words(mine) != _words(node)
        ]
        if conflicts:
            raise InputError(conflicts)
        merged = _merge_nodes(self.dimensions, other.dimensions, ("subdimensions", "preferences"))
        return self.model_copy(update={"dimensions": merged})


class PreferenceSet(StrictModel):
    """Exactly one preference for each dimension of a taxonomy, in its order."""

    preferences: tuple[Preference, ...]

    @classmethod
    def of(cls, taxonomy: Taxonomy, ids: Sequence[str]) -> Self:
        """Build a set from preference ids, in any order.

        Raises:
            InputError: with every unknown id and every missing or doubled dimension.
        """
        by_id = {preference.id: preference for preference in taxonomy.preferences}
        faults = [f"{name!r} is not a preference of it" for name in ids if name not in by_id]
        chosen = [by_id[name] for name in ids if name in by_id]
        for dimension in taxonomy.dimensions:
            count = sum(preference.id.startswith(f"{dimension.slug}/") for preference in chosen)
            if count != 1:
                faults.append(f"dimension {dimension.slug!r} has {count} preferences, must have 1")
        if faults:
            raise InputError(Problem(taxonomy.name, 0, fault) for fault in faults)
        order = [dimension.slug for dimension in taxonomy.dimensions]
        return cls(preferences=tuple(sorted(chosen, key=lambda p: order.index(p.id.split("/")[0]))))

    @property
    def ids(self) -> tuple[str, ...]:
        """Return the preferences' ids, in the taxonomy's order of dimensions."""
        return tuple(preference.id for preference in self.preferences)

    def __getitem__(self, dimension: str) -> Preference:
        for preference in self.preferences:
            if preference.id.startswith(f"{dimension}/"):
                return preference
        raise KeyError(dimension)


def _with(node: _NodeT, name: str, value: object) -> _NodeT:
    object.__setattr__(node, name, value)  # frozen for users; this is its own construction
    return node


def _words(node: Node) -> tuple[str, str]:
    return node.name, node.description


def _merge_nodes(mine: Sequence[Node], theirs: Sequence[Node], levels: Sequence[str]) -> tuple[Node, ...]:
    """Union by slug, mine first; `levels` names the fields that hold the children, outermost first."""
    other = {node.slug: node for node in theirs}
    merged: list[Node] = []
    for node in mine:
        twin = other.pop(node.slug, None)
        if twin is not None and levels:
            field = levels[0]
            children = _merge_nodes(getattr(node, field), getattr(twin, field), levels[1:])
            merged.append(type(node).model_validate({**dict(node), field: children}))
        else:
            merged.append(node)
    return (*merged, *other.values())
