"""How requests are sent, which a recipe says of its rows and of its judges alike: mode, places, budget."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from multifaceted.models import Model
from multifaceted.models.fields import Number
from multifaceted.strictmodel import StrictModel


class BatchSpec(StrictModel):
    """How requests are sent through the Batch API."""

    poll_seconds: Number = Field(default=30, gt=0)
    completion_window: str = "24h"
    max_requests: int = Field(default=50_000, ge=1, le=50_000)  # of one batch, as OpenAI allows
    max_bytes: int = Field(default=200_000_000, ge=1000, le=200_000_000)  # of its file, the same
    # How long the results of a batch that has ended are waited for: so many looks, or so many seconds
    results_polls: int = Field(default=120, ge=1)
    results_seconds: Number = Field(default=3600, gt=0)
    lost_results: Literal["stop", "ask_again"] = "stop"  # what to do where they do not come


class BudgetSpec(StrictModel):
    """What requests may cost, those of all starts together."""

    max_usd: Number = Field(gt=0)


class SendingSpec(StrictModel):
    """The keys that stand in a recipe and in the `judge` part of a curation recipe."""

    mode: Literal["live", "batch"] = "live"
    batch: BatchSpec = BatchSpec()
    concurrency: int = Field(default=64, ge=1, le=4096)  # requests in flight at each endpoint
    budget: BudgetSpec | None = None

    @property
    def max_usd(self) -> float | None:
        """Return the budget in USD; None for no bound."""
        return self.budget.max_usd if self.budget else None

    def check_mode(self, models: Iterable[Model]) -> None:
        """See that the models can be asked in this mode.

        Raises:
            ValueError: where batches cannot be sent to one of them.
        """
        if self.mode == "batch" and any(len(model.served_at) != 1 for model in models):
            raise ValueError("mode: batch takes models behind one endpoint each")
