"""Opening the engine: `async with open_asker(models, concurrency=64, control=control) as asker`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from multifaceted.ask.asker import Asker
from multifaceted.ask.control import RunControl
from multifaceted.ask.usage import Usage, find_prices
from multifaceted.chat.factory import open_pools
from multifaceted.errors import InputError, Problem
from multifaceted.models import Models, Price


@asynccontextmanager
async def open_asker(
    models: Models, *, concurrency: int, control: RunControl, max_usd: float | None = None
) -> AsyncIterator[Asker]:
    """Open the endpoints of everything that a run asks; `concurrency` is that of each.

    Raises:
        SetupError: where a key, an extra or the weights are missing.
    """
    async with open_pools(models, concurrency=concurrency) as pools:
        distinct = list(dict.fromkeys(pools.values()))
        control.endpoints = [endpoint for pool in distinct for endpoint in pool.endpoints]
        for pool in distinct:
            control.tell_when_stopped(pool.stop)
        usage = Usage(find_prices(models, "live"))
        yield Asker(pools, models=models, usage=usage, control=control, max_usd=max_usd)


def check_prices(prices: Mapping[str, Price | None], max_usd: float | None, *, file: str) -> None:
    """See that a budget can be kept.

    Raises:
        InputError: where there is one, and a price is unknown.
    """
    unknown = [label for label, price in prices.items() if price is None]
    if max_usd is None or not unknown:
        return
    message = f"there is a budget, but the price of the model of {', '.join(unknown)} is unknown"
    hint = "state it in the recipe, in USD per million tokens: prices: {input: …, output: …}"
    raise InputError([Problem(file, 0, message)], hint=hint)
