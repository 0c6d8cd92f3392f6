"""What every kind of model has in common: how it samples, how patient its requests are, what it is called."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from multifaceted.models.fields import JsonObject, Number, Url, Variable
from multifaceted.models.prices import Mode, Price
from multifaceted.strictmodel import StrictModel

StructuredOutput = Literal["json_schema", "json_object", "prompt"]

# What a reply, or what is read from it, depends on beside the model's name and the messages. The other fields
# say where the model is, what it costs and how patient to be; `max_tokens` only cuts, and what was
# cut is told by itself.
COUNTED = frozenset(
    {"temperature", "top_p", "seeded", "extra_body", "structured_output", "whole_endings", "reasoning"}
)


class EndpointSpec(StrictModel):
    """One endpoint that serves a model, with its own key and limits."""

    base_url: Url
    api_key_env: Variable = ""  # the variable that holds the key; OPENAI_API_KEY for OpenAI's own endpoint
    concurrency: int | None = Field(default=None, ge=1, le=4096)  # null: the recipe's
    requests_per_minute: Number | None = Field(default=None, gt=0)
    tokens_per_minute: Number | None = Field(default=None, gt=0)  # prompt and reply together


class BaseModelSpec(StrictModel, ABC):
    """One model as a recipe describes it. A parameter set to null is not sent."""

    kind: str
    structured_output: StructuredOutput = "json_schema"
    temperature: Number | None = Field(default=1.0, ge=0)
    top_p: float | None = Field(default=0.9, gt=0, le=1)
    max_tokens: int | None = Field(default=1024, ge=1)
    seeded: bool = True  # send a seed derived from the row; false leaves it out
    extra_body: JsonObject = Field(default_factory=dict)
    whole_endings: tuple[str, ...] = ()  # finish reasons of whole replies, beside those that are known
    # Thoughts in a reply: in the journal alone, in the row's provenance too, or left in the text as written
    reasoning: Literal["drop", "keep", "inline"] = "drop"
    timeout: Number = Field(default=300, gt=0)  # seconds for one request, from when it is sent
    max_attempts: int = Field(default=6, ge=1)  # of one request; those that meet a rate limit do not count
    retry_wait: Number = Field(default=0.5, gt=0)  # seconds before the second attempt; it grows from there
    max_retry_time: Number = Field(default=3600, gt=0)  # seconds; the same exception

    @property
    @abstractmethod
    def label(self) -> str:
        """Return what people call it."""

    @property
    @abstractmethod
    def identity(self) -> Hashable:
        """Return what two models must have in common to share connections and limits."""

    @property
    def served_at(self) -> tuple[EndpointSpec, ...]:
        """Return the endpoints that serve it; none for a model that we start ourselves."""
        return ()

    @property
    def small(self) -> bool:
        """Return whether it needs short prompts, and what is known already fixed in the schema."""
        return False

    @property
    def counted(self) -> dict[str, Any]:
        """Return what its replies depend on beside its name."""
        return self.model_dump(mode="json", include=set(COUNTED))

    @property
    def stated(self) -> frozenset[str]:
        """Return the fields that the recipe itself states; the others are our defaults."""
        return frozenset(self.model_fields_set)

    @abstractmethod
    def find_price(self, mode: Mode) -> Price | None:
        """Return what its tokens cost; None where nobody knows."""

    def rebase(self, base: Path) -> Self:
        """Make paths that were written from the folder `base` good from the present one."""
        del base
        return self

    def parameters(self, seed: int) -> dict[str, Any]:
        """Return what goes into a request beside model, messages and schema; null is not sent."""
        given = {"temperature": self.temperature, "top_p": self.top_p, "max_tokens": self.max_tokens}
        parameters: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if self.seeded:
            parameters["seed"] = seed
        if self.extra_body:
            parameters["extra_body"] = self.extra_body
        return parameters
