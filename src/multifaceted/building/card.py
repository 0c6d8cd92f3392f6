"""The dataset card: YAML that `load_dataset` and the Hub read, and a page that people do.

Everything in it comes from the manifest, the rows and the row models, so that equal runs have equal cards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from multifaceted.building.card_header import pretty_name, render_header
from multifaceted.building.card_template import CardTemplate
from multifaceted.building.check_card import find_card_faults
from multifaceted.building.citation import CITATION
from multifaceted.building.configs import configs_of
from multifaceted.building.fields import FieldLine, describe_fields
from multifaceted.building.summary import RowSummary
from multifaceted.errors import InputError, Problem
from multifaceted.store.built_folder import BuiltConfig, BuiltManifest
from multifaceted.store.manifest import RunData
from multifaceted.store.shards import read_published

CARD = "README.md"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class ConfigView:
    """What the card says of one config."""

    name: str
    summary: str
    splits: dict[str, int]  # name → rows
    rows: int
    bytes: int
    digest: str
    fields: list[FieldLine]
    like: str  # a config told before whose fields are the same; empty where there is none
    variable: str  # that the example loads it into; empty where it leaves the config out
    trains: str  # completion, preference or empty: what the example makes conversations for
    pairs: bool  # whether its rows are pairs


@dataclass(frozen=True, slots=True)
class StageView:
    """What the card says of one stage. Counts are None where the endpoint reports none."""

    name: str
    model: str
    sampling: dict[str, Any]
    prompt_tokens: int | None
    completion_tokens: int | None
    price: str  # in words; empty where it is unknown
    usd: float | None


def render_card(template: CardTemplate, manifest: BuiltManifest, summary: RowSummary, folder: Path) -> str:
    """Return the card's whole text.

    Raises:
        InputError: where the template fails, or leaves out of the YAML what the folder needs.
    """
    stages = [_view_stage(stage, manifest.run, summary.tokens) for stage in manifest.run.stages]
    configs = _view_configs(manifest)
    card = template.render(
        {
            "header": render_header(manifest),
            "title": pretty_name(manifest),
            "manifest": manifest,
            "summary": summary,
            "configs": configs,
            "names": [config.name for config in manifest.configs],
            "completion": next((config for config in configs if config.trains == "completion"), None),
            "preference": next((config for config in configs if config.trains == "preference"), None),
            "pairs": [config.name for config in configs if config.pairs],
            "example": _read_example(folder, manifest.configs[0]),
            "stages": stages,
            "cost": _sum_cost(stages),
            "prices": _group_prices(stages),
            "citation": CITATION,
            "failures": dict(sorted(manifest.run.failures.items())),
        }
    )
    faults = list(find_card_faults(card, manifest))
    if faults:
        hint = "keep {{ header }} as it is, between two lines of ---; lines of your own may follow it"
        raise InputError([Problem(template.file, 0, fault) for fault in faults], hint=hint)
    return card


def _view_configs(manifest: BuiltManifest) -> list[ConfigView]:
    told: dict[type, str] = {}
    configs = configs_of(manifest.run)
    views = []
    for config in manifest.configs:
        published = configs[config.name]
        views.append(
            ConfigView(
                name=config.name,
                summary=published.summary,
                splits=config.split_rows,
                rows=config.rows,
                bytes=config.bytes,
                digest=config.digest,
                fields=describe_fields(published.model),
                like=told.get(published.model, ""),
                variable=published.variable,
                trains=published.trains,
                pairs=published.rows == "pairs",
            )
        )
        told.setdefault(published.model, config.name)
    return views


def _view_stage(stage: Any, run: RunData, tokens: Mapping[str, Mapping[str, int]]) -> StageView:
    spent = tokens.get(stage, {})
    prompt, completion = spent.get("prompt") or None, spent.get("completion") or None
    price, usd = run.prices.get(stage), None
    if price is not None and not price.input and not price.output:
        usd = 0.0
    elif price is not None and prompt and completion:
        usd = (prompt * price.input + completion * price.output) / _MILLION
    words = f"{price.input:g} in, {price.output:g} out ({price.source})" if price else ""
    sampling = run.sampling.get(stage, {})
    return StageView(stage, run.models[stage], sampling, prompt, completion, words, usd)


def _sum_cost(stages: list[StageView]) -> float | None:
    """USD of the replies that the rows are made of; None where the price of a stage is unknown."""
    known = [stage.usd for stage in stages if stage.usd is not None]
    return sum(known) if len(known) == len(stages) else None


def _group_prices(stages: list[StageView]) -> dict[str, list[str]]:
    """Prices in words, each with the stages that it is of."""
    found: dict[str, list[str]] = {}
    for stage in stages:
        found.setdefault(stage.price, []).append(stage.name)
    return found


def _read_example(folder: Path, config: BuiltConfig) -> dict[str, Any]:
    """Return the first row, as `load_dataset` gives it."""
    [batch] = islice(read_published(folder / config.files[0].path), 1)
    row: dict[str, Any] = batch.slice(0, 1).to_pylist()[0]
    return row
