"""What most pydantic models here are: frozen, and unknown keys are refused."""

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A value that is checked once, when it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")
