"""The one way to be answered, live or by batch: `async with answer(asker, customer, spec) as asks: ...`.

By batch, waves of batches bring the replies into the customer's journals first; then it goes on as it does
live.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from multifaceted.ask.asker import Asker, Asks
from multifaceted.ask.channel import Channel
from multifaceted.ask.line import Line, MadeT
from multifaceted.ask.usage import Usage, find_prices
from multifaceted.batch.client import open_clients
from multifaceted.batch.collect import Collector
from multifaceted.batch.customer import Customer
from multifaceted.batch.folder import BatchFolder
from multifaceted.batch.replay import ReplayAsker
from multifaceted.batch.waves import Waves
from multifaceted.chat.factory import name_models
from multifaceted.errors import LimitReachedError
from multifaceted.journal import Journal
from multifaceted.models.sending import SendingSpec


@asynccontextmanager
async def answer(
    asker: Asker, customer: Customer[object], spec: SendingSpec, *, live_fallback: int = 0
) -> AsyncIterator[Asks]:
    """Give what answers the requests of a customer.

    Args:
        asker: asks live.
        customer: what it has to make.
        spec: whether it is asked live or by batch.
        live_fallback: in batch mode, ask live as soon as no more than so many requests are missing.

    Raises:
        MultifacetedError: what stopped the run; batches that were submitted go on by themselves.
    """
    if spec.mode == "live":
        yield asker
        return
    batches, replay = BatchFolder(customer.path), ReplayAsker(asker)
    prices = find_prices(asker.models, "batch")
    by_model = {name: prices[label] for label, name in name_models(asker.models).items()}
    usage = Usage(prices, mode="batch", by_model=by_model)
    with batches.lock():
        collector = Collector(customer, replay, asker.models, batches, usage, spec.batch)
        await _bring_replies(asker, collector, leave=live_fallback)
        replay.asks_live = live_fallback > 0
        try:
            yield replay
        except LimitReachedError:
            batches.settle()  # too much failed: it will be asked again once the cause is mended
            raise
        batches.settle()


async def _bring_replies(asker: Asker, collector: Collector, *, leave: int) -> None:
    control = asker.control
    endpoints, control.endpoints = control.endpoints, ()
    async with open_clients(asker.models, sleep=control.pause) as clients:
        await Waves(collector, clients, asker.max_usd).run(leave=leave)
    control.endpoints = endpoints


async def do_jobs(customer: Customer[MadeT], asks: Asks, take: Callable[[MadeT], None]) -> None:
    """Have every job of a customer done, group by group; `take` is called with what each came to, in order.

    Raises:
        MultifacetedError: what stopped the run; every reply that came in is journaled.
    """
    line = Line[MadeT](asks.control, capacity=asks.capacity)
    for group in customer.groups():
        journal_file = customer.journal_file(group.name)
        with customer.lock(group.name), Journal(journal_file, others=group.others) as journal:
            channel = Channel(asks, journal)
            async with line.winding_up():
                await line.feed((partial(job, channel) for job in group.jobs), take)
                await line.finish()
