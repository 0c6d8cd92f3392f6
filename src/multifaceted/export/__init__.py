"""Published configs: one file each, with its schema and how a run's rows become its rows."""

from multifaceted.export.config import PublishedConfig
from multifaceted.export.provenance import PROVENANCE
from multifaceted.export.sft import SFT

CONFIGS = (SFT, PROVENANCE)  # the first is the default

__all__ = ["CONFIGS", "PROVENANCE", "SFT", "PublishedConfig"]
