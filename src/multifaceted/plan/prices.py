"""What a model's tokens cost, in USD per million: the recipe's own prices, else a maintained table.

Example:
    price = find_price(model)                    # None where nobody knows: never a guess
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

from multifaceted.plan.recipe import LiveModel, LocalModel, PriceSpec

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
        """Whether it costs nothing, however many tokens there are."""
        return not (self.input or self.cached_input or self.output)

    def cost(self, *, prompt: float, cached: float, completion: float) -> float:
        """USD for so many tokens. Cached tokens are part of the prompt's; reasoning tokens of the reply's."""
        usd = (prompt - cached) * self.input + cached * self.cached_input + completion * self.output
        return usd / _MILLION


def find_price(model: LiveModel | LocalModel, mode: Mode = "live") -> Price | None:
    """The price of a model at its endpoint; None where it is unknown."""
    if isinstance(model, LocalModel):
        return Price(0.0, 0.0, 0.0, "embedded model") if mode == "live" else None
    if model.prices is not None:
        return _from_recipe(model.prices, mode)
    found = {_from_table(model.name, url, mode) for url in model.urls}
    return found.pop() if len(found) == 1 else None  # endpoints of different price: no single answer


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


def _from_recipe(prices: PriceSpec, mode: Mode) -> Price | None:
    factor = 1.0 if mode == "live" else prices.batch_factor
    if factor is None:
        return None
    cached = prices.input if prices.cached_input is None else prices.cached_input
    return Price(prices.input * factor, cached * factor, prices.output * factor, "recipe")


def _from_table(name: str, url: str, mode: Mode) -> Price | None:
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
