"""Published configs: one file each, with its schema and how a run's rows become its rows."""

from multifaceted.export.bench import BENCH
from multifaceted.export.choice import Choice, choose
from multifaceted.export.config import PublishedConfig
from multifaceted.export.pairs import DPO, ORPO
from multifaceted.export.provenance import BENCH_PROVENANCE, PROVENANCE
from multifaceted.export.rm import RM
from multifaceted.export.sft import SFT, SFT_SMALL
from multifaceted.kinds import KindName


def _by_name(*configs: PublishedConfig) -> dict[str, PublishedConfig]:
    return {config.name: config for config in configs}


# What a run of each kind is published as, by name; the first is the default of `load_dataset`.
CONFIGS: dict[KindName, dict[str, PublishedConfig]] = {
    "collection": _by_name(SFT, SFT_SMALL, DPO, ORPO, RM, PROVENANCE),
    "bench": _by_name(BENCH, BENCH_PROVENANCE),
}

__all__ = ["CONFIGS", "Choice", "PublishedConfig", "choose"]
