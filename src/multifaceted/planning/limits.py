"""How long a run takes under the limits that its recipe gives: `expect_seconds(recipe, stages)`."""

from collections.abc import Hashable, Mapping
from typing import NamedTuple

from multifaceted.models import Model
from multifaceted.planning.recipe import Recipe

# Requests, tokens, and seconds of one request where they are known.
StageWork = tuple[int, int, float | None]


class Bound(NamedTuple):
    """Seconds that one limit alone makes a run take."""

    seconds: float
    limit: str


def expect_seconds(recipe: Recipe, stages: Mapping[str, StageWork]) -> tuple[float | None, str]:
    """Seconds of a whole run and what decides them; None where neither limits nor latencies are known.

    Stages overlap, but those that ask the same model share its limits. The slowest model decides.
    """
    models: dict[Hashable, tuple[Model, list[StageWork]]] = {}
    for stage, work in stages.items():
        model = recipe.model_for(stage)
        models.setdefault(model.identity, (model, []))[1].append(work)
    bounds = [
        bound for model, works in models.values() for bound in _bounds_of(model, works, recipe.concurrency)
    ]
    if not bounds:
        return None, "no limits are given, and no request has been timed yet"
    slowest = max(bounds)
    return slowest.seconds, slowest.limit


def _bounds_of(model: Model, works: list[StageWork], concurrency: int) -> list[Bound]:
    requests, tokens = sum(work[0] for work in works), sum(work[1] for work in works)
    bounds = []
    by_requests = [endpoint.requests_per_minute for endpoint in model.served_at]
    by_tokens = [endpoint.tokens_per_minute for endpoint in model.served_at]
    for budgets, amount, what in ((by_requests, requests, "requests"), (by_tokens, tokens, "tokens")):
        known = [budget for budget in budgets if budget is not None]
        if known and len(known) == len(budgets):
            bounds.append(Bound(60 * amount / sum(known), f"{sum(known):,.0f} {what} per minute"))
    timed = [(count, seconds) for count, _, seconds in works if seconds is not None]
    if len(timed) == len(works):
        at_once = sum(endpoint.concurrency or concurrency for endpoint in model.served_at) or 1
        busy = sum(count * seconds for count, seconds in timed)
        bounds.append(Bound(busy / at_once, f"{at_once} requests at once, as fast as they were so far"))
    return bounds
