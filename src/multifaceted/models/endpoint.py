"""A model behind OpenAI-compatible endpoints: `{base_url: "http://127.0.0.1:8000/v1", name: some-model}`."""

from collections.abc import Hashable
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from multifaceted.models.base import BaseModelSpec, EndpointSpec
from multifaceted.models.fields import Number, Url, Variable
from multifaceted.models.prices import Mode, Price, PriceSpec, look_up_price

# What stands with each of the endpoints, and beside `endpoints` would not be heeded.
OF_ONE_ENDPOINT = ("api_key_env", "requests_per_minute", "tokens_per_minute")


class EndpointModel(BaseModelSpec):
    """Served at one base URL, or at several endpoints that requests are spread over."""

    kind: Literal["endpoint"] = "endpoint"
    name: str = Field(min_length=1)
    base_url: Url = ""
    endpoints: tuple[EndpointSpec, ...] = ()  # in place of `base_url`
    api_key_env: Variable = ""
    requests_per_minute: Number | None = Field(default=None, gt=0)
    tokens_per_minute: Number | None = Field(default=None, gt=0)
    prices: PriceSpec | None = None

    @field_validator(*OF_ONE_ENDPOINT)
    @classmethod
    def _check_owner(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("endpoints"):
            raise ValueError("belongs to each of the endpoints")
        return value

    @model_validator(mode="after")
    def _check_endpoints(self) -> Self:
        if bool(self.base_url) == bool(self.endpoints):
            raise ValueError("takes either base_url or endpoints")
        return self

    @property
    def label(self) -> str:
        """Return its name."""
        return self.name

    @property
    def identity(self) -> Hashable:
        """Name, endpoints and timeout."""
        return self.name, self.served_at, self.timeout

    @property
    def served_at(self) -> tuple[EndpointSpec, ...]:
        """Return the endpoints, or the one base URL."""
        shared = {name: getattr(self, name) for name in ("base_url", *OF_ONE_ENDPOINT)}
        return self.endpoints or (EndpointSpec(**shared),)

    def find_price(self, mode: Mode) -> Price | None:
        """Return the recipe's price, else the table's; None where endpoints differ in price."""
        if self.prices is not None:
            return self.prices.to_price(mode)
        found = {look_up_price(self.name, endpoint.base_url, mode) for endpoint in self.served_at}
        return found.pop() if len(found) == 1 else None
