"""Taxonomy files: `load_taxonomy("mine.yaml")`, `dump_taxonomy(taxonomy)`, and their JSON Schema."""

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from multifaceted.taxonomy.check import find_faults
from multifaceted.taxonomy.model import Taxonomy
from multifaceted.yamlfile import read_yaml


def load_taxonomy(source: str | Path = "default") -> Taxonomy:
    """Load a taxonomy from a YAML (or JSON) file; `default` is the one that ships with the package.

    Raises:
        InputError: with every problem of the file and its line.
    """
    return _load_default() if source == "default" else _load_file(Path(source))


@cache
def _load_default() -> Taxonomy:
    with resources.as_file(default_file()) as path:
        return _load_file(path)


def default_file() -> Any:
    """Return the default taxonomy's file inside the package, as an `importlib.resources` traversable."""
    return resources.files("multifaceted.taxonomy") / "default.yaml"


def _load_file(path: Path) -> Taxonomy:
    document = read_yaml(path)
    faults = [document.problem(place, message) for place, message in find_faults(document.data)]
    return document.validate(Taxonomy, more=faults)


def dump_taxonomy(taxonomy: Taxonomy) -> str:
    """Return the taxonomy as YAML text that `load_taxonomy` reads back as an equal one."""
    data = taxonomy.model_dump(mode="json")
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    # PyYAML writes U+0085 as it is and reads it as a line break.
    return yaml.safe_dump(data, sort_keys=False, width=100) if "\x85" in text else text


def taxonomy_schema() -> dict[str, Any]:
    """Return the JSON Schema of a taxonomy file, for editors and other languages."""
    return Taxonomy.model_json_schema()
