"""What a run is published as: `configs_of(run)["sft"].schema`."""

from functools import cache

from multifaceted.export.bench import BENCH
from multifaceted.export.config import PublishedConfig
from multifaceted.export.pairs import DPO, ORPO
from multifaceted.export.provenance import BENCH_PROVENANCE, PROVENANCE
from multifaceted.export.rm import RM
from multifaceted.export.sft import SFT, SFT_SMALL
from multifaceted.kinds import KindName
from multifaceted.store.manifest import AddedColumn, RunData


def _by_name(*configs: PublishedConfig) -> dict[str, PublishedConfig]:
    return {config.name: config for config in configs}


# What a run of each kind is published as; the first has all rows and is the default of `load_dataset`.
CONFIGS: dict[KindName, dict[str, PublishedConfig]] = {
    "collection": _by_name(SFT, SFT_SMALL, DPO, ORPO, RM, PROVENANCE),
    "bench": _by_name(BENCH, BENCH_PROVENANCE),
}


def configs_of(run: RunData) -> dict[str, PublishedConfig]:
    """What a run is published as, by name, with the columns that its recipe adds."""
    return _widen_configs(run.kind, tuple(column.model_dump_json() for column in run.added))


@cache
def _widen_configs(kind: KindName, added: tuple[str, ...]) -> dict[str, PublishedConfig]:
    # Once for each set of columns: a schema is kept for each model that there is.
    columns = [AddedColumn.model_validate_json(column) for column in added]
    return {name: config.widen(columns) for name, config in CONFIGS[kind].items()}
