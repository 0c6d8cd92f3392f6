"""The taxonomy that the rows of a folder were made with, as far as it is at hand."""

from pathlib import Path

from multifaceted.errors import InputError
from multifaceted.store.atomic import read_json
from multifaceted.store.built_folder import read_built_manifest
from multifaceted.store.manifest import read_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.taxonomy import Taxonomy, load_taxonomy


def find_taxonomy(folder: Path) -> Taxonomy | None:
    """Return the taxonomy of a run or a built folder; None where its file was moved or changed since."""
    built = read_built_manifest(folder)
    data = read_run(RunFolder(folder)) if built is None else built.run
    written = read_json(folder / "run.json") or {}
    source = written.get("environment", {}).get("recipe", {}).get("taxonomy", "default")
    for candidate in dict.fromkeys((source, "default")):
        try:
            found = load_taxonomy(candidate)
        except (InputError, OSError):
            continue
        if found.fingerprint == data.taxonomy["fingerprint"]:
            return found
    return None
