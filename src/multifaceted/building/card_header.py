"""The card's YAML: what `load_dataset` and the Hub read. `render_header(manifest)`.

The content digest in each config's `description` is what keeps `datasets` from serving a rebuilt folder out
of its cache: the cache key of a local folder is made from the card alone.
"""

from typing import Any

import pyarrow as pa
from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from multifaceted.building.configs import configs_of
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest

# As the Hub names them, each with the first number of rows that is too many for it.
SIZES = (
    *(("n<1K", 10**3), ("1K<n<10K", 10**4), ("10K<n<100K", 10**5), ("100K<n<1M", 10**6)),
    *(("1M<n<10M", 10**7), ("10M<n<100M", 10**8), ("100M<n<1B", 10**9)),
)
LARGEST = "1B<n<10B"
TAGS = ("synthetic", "alignment", "preferences", "system-messages")


def render_header(manifest: BuiltManifest) -> str:
    """Return the YAML, without the dashes around it."""
    run = manifest.run
    published = configs_of(run)
    data = DatasetCardData(
        pretty_name=pretty_name(manifest),
        license=run.license or "unknown",
        language=run.language or None,
        annotations_creators=["machine-generated"],
        language_creators=["machine-generated"],
        task_categories=["text-generation"],
        size_categories=[size_category(manifest.configs[0].rows)],
        tags=[*TAGS, *(tag for config in manifest.configs if (tag := published[config.name].tag))],
    )
    infos = {c.name: _describe(c, published[c.name].schema) for c in manifest.configs}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    metadata = {c.name: locate_config(c, default=c is manifest.configs[0]) for c in manifest.configs}
    MetadataConfigs(metadata).to_dataset_card_data(data)
    return str(data.to_yaml()).strip()


def pretty_name(manifest: BuiltManifest) -> str:
    """Return the collection's name as a title."""
    return manifest.name.replace("_", " ").replace("-", " ").title()


def size_category(rows: int) -> str:
    """Return the Hub's name for a number of rows."""
    return next((name for name, least in SIZES if rows < least), LARGEST)


def locate_config(config: BuiltConfig, *, default: bool) -> dict[str, Any]:
    """Return where `datasets` finds a config's files, and the digest of what is in them."""
    suffix = config.files[0].path.rsplit(".", 1)[-1]
    # The pattern ends in the extension: else it would match temporary files too.
    files = [{"split": split, "path": f"{config.name}/{split}-*.{suffix}"} for split in config.splits]
    description = f"content {config.digest}"
    return {"data_files": files, "description": description, **({"default": True} if default else {})}


def _describe(config: BuiltConfig, schema: pa.Schema) -> DatasetInfo:
    splits = {
        name: SplitInfo(name, num_bytes=sum(f.memory for f in files), num_examples=config.split_rows[name])
        for name, files in config.splits.items()
    }
    return DatasetInfo(
        features=Features.from_arrow_schema(schema),
        splits=SplitDict(splits),
        download_size=config.bytes,
        dataset_size=sum(split.num_bytes for split in splits.values()),
        config_name=config.name,
    )
