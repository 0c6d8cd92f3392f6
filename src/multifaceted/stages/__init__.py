"""What a row is made of: a stage is a value, and a run is a list of them. A file for each that ships."""

from multifaceted.stages.base import Draft, Stage
from multifaceted.stages.own import make_own_stage
from multifaceted.stages.preferences import PREFERENCES
from multifaceted.stages.prompts import Prompts
from multifaceted.stages.response import RESPONSE
from multifaceted.stages.rubric import RUBRIC
from multifaceted.stages.system_message import SYSTEM_MESSAGE

# All that ship; `kinds` says which of them a run has.
SHIPPED: dict[str, Stage] = {stage.name: stage for stage in (PREFERENCES, SYSTEM_MESSAGE, RESPONSE, RUBRIC)}

__all__ = [
    "PREFERENCES",
    "RESPONSE",
    "RUBRIC",
    "SHIPPED",
    "SYSTEM_MESSAGE",
    "Draft",
    "Prompts",
    "Stage",
    "make_own_stage",
]
