"""What a model's tokens cost, in USD per million: the recipe's own prices, else a maintained table.

Example:
    price = model.find_price("live")             # None where nobody knows: never a guess
    price.cost(prompt=1200, cached=0, completion=300)

The table is that of the library `genai-prices`, read from the installed package; nothing is fetched.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from typing import Literal

from genai_prices import Usage
from genai_prices.data_snapshot import get_snapshot
from pydantic import Field

from multifaceted.models.fields import Number
from multifaceted.strictmodel import StrictModel

Mode = Literal["live", "batch"]
TABLE = "genai-prices"
_SAMPLE = 1000  # tokens: small enough to lie in the lowest tier of tiered prices
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens, and where that is from."""

    input: float
    cached_input: float
    output: float
    source: str

    @property
    def is_free(self) -> bool:
        """Return whether it costs nothing, however many tokens there are."""
        return not (self.input or self.cached_input or self.output)

    def cost(self, *, prompt: float, cached: float, completion: float) -> float:
        """USD for so many tokens. Cached tokens are part of the prompt's; reasoning tokens of the reply's."""
        usd = (prompt - cached) * self.input + cached * self.cached_input + completion * self.output
        return usd / _MILLION


class PriceSpec(StrictModel):
    """Prices of one's own, in USD per million tokens, in place of the table's."""

    input: Number = Field(ge=0)
    output: Number = Field(ge=0)
    cached_input: Number | None = Field(default=None, ge=0)  # null: as `input`
    batch_factor: Number | None = Field(default=None, ge=0)  # share of these that the Batch API costs

    def to_price(self, mode: Mode) -> Price | None:
        """Return the price of one mode; None where it is not stated."""
        factor = 1.0 if mode == "live" else self.batch_factor
        if factor is None:
            return None
        cached = self.input if self.cached_input is None else self.cached_input
        return Price(self.input * factor, cached * factor, self.output * factor, "recipe")


@cache
def describe_table() -> str:
    """Name, version and date of the table: the newest day on which, by its own notes, a price was checked."""
    providers = get_snapshot().providers
    notes = [p.price_comments for p in providers]
    notes += [model.price_comments for p in providers for model in p.models]
    days = {day for note in notes if note for day in re.findall(r"\b20\d\d-\d\d-\d\d\b", note)}
    today = datetime.now(UTC).date().isoformat()
    past = [day for day in days if day <= today]  # the others say when a price will change
    checked = f", checked up to {max(past)}" if past else ""
    return f"{TABLE} {metadata.version(TABLE)}{checked}"


def look_up_price(name: str, url: str, mode: Mode) -> Price | None:
    """Return the table's price of a model at an endpoint; None where it does not know it."""
    table = get_snapshot()
    try:
        _, model = table.find_provider_model(name, None, None, url)
        if mode == "batch" and not any(
            v.when.get("processing") == "batch" for v in model.price_variants or ()
        ):
            return None

        def rate(usage: Usage) -> float:
            context = {"processing": "batch"} if mode == "batch" else None
            return float(table.calc(usage, name, None, url, None, context).total_price) * _MILLION / _SAMPLE

        return Price(
            input=rate(Usage(input_tokens=_SAMPLE)),
            cached_input=rate(Usage(input_tokens=_SAMPLE, cache_read_tokens=_SAMPLE)),
            output=rate(Usage(output_tokens=_SAMPLE)),
            source=describe_table(),
        )
    except (LookupError, ValueError):
        return None
