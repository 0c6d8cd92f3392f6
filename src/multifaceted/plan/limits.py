"""How long a run takes under the limits that its recipe gives: `expect_seconds(recipe, stages)`."""

from collections.abc import Mapping
from typing import NamedTuple

from multifaceted.plan.recipe import LiveModel, LocalModel, Recipe
from multifaceted.records import Stage

# Requests, tokens, and seconds of one request where they are known.
Work = tuple[int, int, float | None]


class Bound(NamedTuple):
    """Seconds that one limit alone makes a run take."""

    seconds: float
    limit: str


def expect_seconds(recipe: Recipe, stages: Mapping[Stage, Work]) -> tuple[float | None, str]:
    """Seconds of a whole run and what decides them; None where neither limits nor latencies are known.

    Stages overlap, but those that ask the same model share its limits. The slowest model decides.
    """
    models: dict[str, tuple[LiveModel | LocalModel, list[Work]]] = {}
    for stage, work in stages.items():
        model = recipe.model_for(stage)
        models.setdefault(_identify(model), (model, []))[1].append(work)
    bounds = [
        bound for model, works in models.values() for bound in _bounds_of(model, works, recipe.concurrency)
    ]
    if not bounds:
        return None, "no limits are given, and no request has been timed yet"
    slowest = max(bounds)
    return slowest.seconds, slowest.limit


def _bounds_of(model: LiveModel | LocalModel, works: list[Work], concurrency: int) -> list[Bound]:
    requests, tokens = sum(work[0] for work in works), sum(work[1] for work in works)
    bounds = []
    places = model.places if isinstance(model, LiveModel) else ()
    by_requests = [place.requests_per_minute for place in places]
    by_tokens = [place.tokens_per_minute for place in places]
    for budgets, amount, what in ((by_requests, requests, "requests"), (by_tokens, tokens, "tokens")):
        known = [budget for budget in budgets if budget is not None]
        if known and len(known) == len(budgets):
            bounds.append(Bound(60 * amount / sum(known), f"{sum(known):,.0f} {what} per minute"))
    timed = [(count, seconds) for count, _, seconds in works if seconds is not None]
    if len(timed) == len(works):
        at_once = sum(place.concurrency or concurrency for place in places) or 1
        busy = sum(count * seconds for count, seconds in timed)
        bounds.append(Bound(busy / at_once, f"{at_once} requests at once, as fast as they were so far"))
    return bounds


def _identify(model: LiveModel | LocalModel) -> str:
    return f"{model.name} {model.urls}" if isinstance(model, LiveModel) else model.weights
