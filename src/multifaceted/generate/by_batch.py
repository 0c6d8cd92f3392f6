"""A run through the Batch API from beginning to end: `await generate_by_batch(maker, asker, folder, wanted)`.

Waves of batches bring the replies into the journals; then shards are written as in a live run.
"""

from collections.abc import Mapping
from dataclasses import replace

from multifaceted.chat.factory import open_batch_clients
from multifaceted.errors import LimitReachedError
from multifaceted.generate.ask import Asker
from multifaceted.generate.collect import Collector
from multifaceted.generate.loop import generate_shards
from multifaceted.generate.replay import ReplayAsker
from multifaceted.generate.row import RowMaker
from multifaceted.generate.usage import Usage
from multifaceted.generate.waves import Waves
from multifaceted.generate.work import Work
from multifaceted.plan.prices import Price
from multifaceted.records import Stage
from multifaceted.store.batches import BatchFailure, BatchFolder
from multifaceted.store.run_folder import RunFolder


async def generate_by_batch(
    maker: RowMaker,
    asker: Asker,
    folder: RunFolder,
    wanted: list[Work],
    *,
    prices: Mapping[Stage, Price | None],
    live_fallback: int,
) -> None:
    """Make every row of the wanted shards.

    Args:
        maker: makes one row.
        asker: asks live what is left to it.
        folder: where shards, journals and batches lie.
        wanted: in order.
        prices: of batches.
        live_fallback: ask live as soon as no more than so many requests are missing.

    Raises:
        MultifacetedError: what stopped the run; batches that were submitted go on by themselves.
    """
    recipe, control, batches = maker.plan.recipe, asker.control, BatchFolder(folder)
    models = {stage: recipe.model_for(stage) for stage in maker.plan.kind.stages}
    failures: dict[str, BatchFailure] = {}
    replay = ReplayAsker(failures, asker)
    maker = replace(maker, asker=replay)
    usage = Usage(prices, mode="batch")
    collector = Collector(maker, folder, batches, usage, recipe.batch)
    attempts = max(model.max_attempts for model in models.values())
    with batches.lock():
        async with open_batch_clients(models, sleep=control.pause) as clients:
            waves = Waves(folder, batches, clients, collector, failures, control, attempts, asker.max_usd)
            endpoints, control.endpoints = control.endpoints, ()
            await waves.run(wanted, leave=live_fallback)
            control.endpoints = endpoints
        replay.asks_live = live_fallback > 0
        try:
            await generate_shards(maker, folder, wanted)
        except LimitReachedError:
            batches.settle()  # too much failed: it will be asked again once the cause is mended
            raise
        batches.settle()
