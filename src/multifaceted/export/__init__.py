"""Published configs: one file each, with its schema and how a run's rows become its rows."""

from multifaceted.export.choice import Choice, choose
from multifaceted.export.config import PublishedConfig
from multifaceted.export.configs import configs_of

__all__ = ["Choice", "PublishedConfig", "choose", "configs_of"]
