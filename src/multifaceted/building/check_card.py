"""Whether a card is true to the data: `find_card_faults(text, manifest)`.

`datasets` believes the card: it finds files, features, rows and cached copies by it. So all of that is
compared with the manifest, which is compared with the files.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import yaml
from datasets import Features

from multifaceted.building.card_header import locate_config, size_category
from multifaceted.building.configs import configs_of
from multifaceted.licenses import LICENSES
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest
from multifaceted.yamllimits import ExcessError, find_odd_values


def find_card_faults(card: str, manifest: BuiltManifest) -> Iterator[str]:
    """Yield what is wrong with a card; nothing where all is well."""
    header = _read_header(card)
    if header is None:
        yield "has no YAML header, or none that can be read"
        return
    entries = _by_name(header.get("configs"))
    infos = _by_name(header.get("dataset_info"))
    present = [config.name for config in manifest.configs]
    for name in sorted({*entries, *infos} - {*present}):
        yield f"names config {name!r}, which is not in the folder"
    published = configs_of(manifest.run)
    for config in manifest.configs:
        default = config is manifest.configs[0]
        yield from _compare_config(config, entries.get(config.name, {}), default=default)
        yield from _compare_info(config, infos.get(config.name, {}), published[config.name].schema)
    named = header.get("license")
    licenses: list[Any] = named if isinstance(named, list) else [named]
    yield from (f"the Hub takes no license {name!r}" for name in licenses if name not in LICENSES)
    sizes = [size_category(manifest.configs[0].rows)]
    if header.get("size_categories") != sizes:
        yield f"the size category is not {sizes[0]}"


def _read_header(card: str) -> dict[str, Any] | None:
    """Return the YAML between the first two lines of dashes."""
    before, _, rest = card.partition("---\n")
    text, end, _ = rest.partition("\n---\n")
    if before.strip() or not end:
        return None
    try:
        if any(find_odd_values(text)):
            return None
        header = yaml.safe_load(text)
    except (ExcessError, yaml.YAMLError, ValueError):
        return None
    return header if isinstance(header, dict) else None


def _by_name(entries: Any) -> dict[str, dict[str, Any]]:
    found = entries if isinstance(entries, list) else [entries]  # `datasets` writes a single one bare
    return {str(e.get("config_name", "default")): e for e in found if isinstance(e, dict)}


def _compare_config(config: BuiltConfig, entry: dict[str, Any], *, default: bool) -> Iterator[str]:
    expected = locate_config(config, default=default)
    if entry.get("description") != expected["description"]:
        yield f"the content digest of config {config.name!r} is not that of the data"
    strange = sorted(map(str, entry.keys() - {*expected, "config_name"}))
    if strange:
        yield f"config {config.name!r} says more than where its files are: {', '.join(strange)}"
    if entry.get("data_files") != expected["data_files"]:
        yield f"the files of config {config.name!r} are not those of the folder"
    if bool(entry.get("default")) != default:
        yield f"config {config.name!r} is {'not ' if default else ''}said to be the default"


def _compare_info(config: BuiltConfig, info: dict[str, Any], schema: pa.Schema) -> Iterator[str]:
    try:
        counts = {split["name"]: split["num_examples"] for split in info.get("splits", [])}
        features = Features._from_yaml_list(info.get("features", []))
    except (TypeError, KeyError, ValueError) as error:
        yield f"the dataset_info of config {config.name!r} cannot be read: {error}"
        return
    if counts != config.split_rows:
        yield f"the rows of config {config.name!r} are not those of the data"
    if features != Features.from_arrow_schema(schema):
        yield f"the features of config {config.name!r} are not those of the data"
