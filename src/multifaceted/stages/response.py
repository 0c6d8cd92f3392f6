"""`response`: the answer to the instruction under the system message."""

from multifaceted.stages.base import Stage

RESPONSE = Stage(
    name="response",
    column="output",
    record="response",
    description="the gold response to `system` and `prompt`",
    template="response",
    tokens=450,  # from trials with the shipped templates
)
