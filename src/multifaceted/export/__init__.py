"""Published configs: one file each, with its schema and how a run's rows become its rows."""

from multifaceted.export.choice import Choice, choose
from multifaceted.export.config import PublishedConfig
from multifaceted.export.pairs import DPO, ORPO
from multifaceted.export.provenance import PROVENANCE
from multifaceted.export.rm import RM
from multifaceted.export.sft import SFT, SFT_SMALL

CONFIGS = (SFT, SFT_SMALL, DPO, ORPO, RM, PROVENANCE)  # the first is the default
BY_NAME = {config.name: config for config in CONFIGS}

__all__ = ["BY_NAME", "CONFIGS", "Choice", "PublishedConfig", "choose"]
