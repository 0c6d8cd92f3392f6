"""Faults that no single field shows: doubled slugs, names and descriptions, and empty branches.

They are looked for in plain data, so that a file with a fault of shape still gets all its faults listed.
"""

from collections.abc import Iterator
from typing import Any

from multifaceted.yamlfile import KeyPath, show_path

CHILDREN = {"dimensions": "subdimensions", "subdimensions": "preferences", "preferences": ""}


def find_faults(data: Any) -> Iterator[tuple[KeyPath, str]]:
    """Faults in a taxonomy's plain data, as (path, message); values of a wrong type are passed over."""
    if not isinstance(data, dict):
        return
    yield from _check_children(data, "dimensions", ())
    seen: dict[str, str] = {}
    for path, node in _walk(data, "dimensions", ()):
        text = node.get("description")
        if not isinstance(text, str):
            continue
        first = seen.setdefault(" ".join(text.lower().split()), show_path(path))
        if first != show_path(path):
            yield (*path, "description"), f"the same description stands in {first}"


def _check_children(node: Any, field: str, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    children = node.get(field)
    if not isinstance(children, list):
        return  # a wrong type or a missing key is the model's to report
    if not children:
        yield (*path, field), f"there are no {field}"
    for key in ("slug", "name"):
        seen: dict[str, int] = {}
        for index, child in enumerate(children):
            value = child.get(key) if isinstance(child, dict) else None
            if not isinstance(value, str):
                continue
            if value in seen:
                yield (*path, field, index, key), f"{key} {value!r} is that of {field}[{seen[value]}] too"
            seen.setdefault(value, index)
    if CHILDREN[field]:
        for index, child in enumerate(children):
            if isinstance(child, dict):
                yield from _check_children(child, CHILDREN[field], (*path, field, index))


def _walk(node: Any, field: str, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    children = node.get(field) if field else None
    for index, child in enumerate(children if isinstance(children, list) else []):
        if isinstance(child, dict):
            yield (*path, field, index), child
            yield from _walk(child, CHILDREN[field], (*path, field, index))
