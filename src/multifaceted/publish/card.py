"""The dataset card: YAML that `load_dataset` and the Hub read, and a page that people do.

The content digest in each config's `description` is what keeps `datasets` from serving a rebuilt folder out
of its cache: the cache key of a local folder is made from the card alone.
"""

from importlib import resources
from typing import Any

from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData
from jinja2 import Environment, StrictUndefined

from multifaceted.export import CONFIGS
from multifaceted.export.summary import RowSummary
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest
from multifaceted.store.run_folder import ShardSummary

CARD = "README.md"
MAX_QUOTE = 1200  # characters of a text shown in the card
SIZES = (("n<1K", 1_000), ("1K<n<10K", 10_000), ("10K<n<100K", 100_000), ("100K<n<1M", 1_000_000))


def render_card(manifest: BuiltManifest, summary: RowSummary) -> str:
    """The card's whole text."""
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown
    )
    environment.filters["quote_block"] = _quote_block
    template = (resources.files("multifaceted") / "templates" / "card.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        header=_render_header(manifest),
        manifest=manifest,
        summary=summary,
        failures=_sum_failures(manifest.run.summaries),
        example=summary.example,
        summaries={config.name: config.summary for config in CONFIGS[manifest.run.kind].values()},
    )


def _render_header(manifest: BuiltManifest) -> str:
    rows = manifest.configs[0].rows
    data = DatasetCardData(
        pretty_name=manifest.name.replace("_", " ").title(),
        task_categories=["text-generation"],
        size_categories=[next((name for name, least in SIZES if rows < least), "1M<n<10M")],
        tags=["synthetic", "preferences", "system-messages", "alignment"],
    )
    infos = {config.name: _describe(manifest, config) for config in manifest.configs}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    metadata = {c.name: _locate(c, default=c is manifest.configs[0]) for c in manifest.configs}
    MetadataConfigs(metadata).to_dataset_card_data(data)
    return str(data.to_yaml()).strip()


def _locate(config: BuiltConfig, *, default: bool) -> dict[str, Any]:
    suffix = config.files[0].path.rsplit(".", 1)[-1]
    # The pattern ends in the extension: else it would match temporary files too.
    files = [{"split": split, "path": f"{config.name}/{split}-*.{suffix}"} for split in config.splits]
    description = f"content {config.digest}"
    return {"data_files": files, "description": description, **({"default": True} if default else {})}


def _describe(manifest: BuiltManifest, config: BuiltConfig) -> DatasetInfo:
    splits = {
        name: SplitInfo(name, num_bytes=sum(f.bytes for f in files), num_examples=sum(f.rows for f in files))
        for name, files in config.splits.items()
    }
    return DatasetInfo(
        features=Features.from_arrow_schema(CONFIGS[manifest.run.kind][config.name].schema),
        splits=SplitDict(splits),
        download_size=config.bytes,
        dataset_size=config.bytes,
        config_name=config.name,
    )


def _sum_failures(summaries: list[ShardSummary]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for summary in summaries:
        for kind, rows in summary.failures.items():
            totals[kind] = totals.get(kind, 0) + rows
    return dict(sorted(totals.items()))


def _quote_block(text: str) -> str:
    cut = text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE]} […]"
    return "\n".join(f"> {line}" for line in cut.splitlines())
