"""What a plan will use and cost: `estimate(plan)`, before anything is spent.

Lengths are taken from replies, where a run has some. Else prompts are rendered and counted, with a stand-in
of the stated length where a prompt holds an earlier reply.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from multifaceted.ids import canonical_json
from multifaceted.models import Price
from multifaceted.planning.compile import Plan
from multifaceted.planning.limits import expect_seconds
from multifaceted.records import RowTask
from multifaceted.stages import Stage

CHARACTERS_PER_TOKEN = 4  # of English text, by OpenAI's rule of thumb
RENDERED = 500  # rows, spread over the pool, whose prompts are counted
LOOKED_AT = 10_000  # rows of a run; of a larger one so many are gone through, evenly spread
ENOUGH = 20  # replies, from which on their lengths are believed


@dataclass(frozen=True, slots=True)
class Observed:
    """What replies of one stage came to so far."""

    source: str = "replies in the journal"  # which replies these are
    replies: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float | None = None  # of one live request


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What is to be asked in one stage. Costs are None where the price is unknown."""

    stage: str
    model: str
    requests: int  # repair turns included, where some were seen
    prompt_tokens: int
    completion_tokens: int
    source: str  # where the lengths are from
    live: Price | None
    batch: Price | None
    seconds: float | None  # of one request; None before there was any

    @property
    def live_usd(self) -> float | None:
        """Cost by ordinary requests."""
        return self._cost(self.live)

    @property
    def batch_usd(self) -> float | None:
        """Cost by the Batch API."""
        return self._cost(self.batch)

    def _cost(self, price: Price | None) -> float | None:
        if price is None:
            return None
        return price.cost(prompt=self.prompt_tokens, cached=0, completion=self.completion_tokens)


@dataclass(frozen=True, slots=True)
class Estimate:
    """All that is to be asked."""

    stages: tuple[StageEstimate, ...]
    seconds: float | None  # under the limits that the recipe gives and the latencies seen; None: unknown
    bound_by: str  # what decides that

    @property
    def live_usd(self) -> float | None:
        """Cost by ordinary requests; None where a price is unknown."""
        return _sum([stage.live_usd for stage in self.stages])

    @property
    def batch_usd(self) -> float | None:
        """Cost by the Batch API; None where a price is unknown."""
        return _sum([stage.batch_usd for stage in self.stages])


def estimate(
    plan: Plan, observed: Mapping[str, Observed] | None = None, *, to_ask: Mapping[str, int] | None = None
) -> Estimate:
    """Estimate what requests use and cost.

    Args:
        plan: whose requests.
        observed: what replies came to so far, by stage.
        to_ask: how many requests there are, by stage; None: those of the whole run.
    """
    observed = observed or {}
    seen = {stage.name: observed.get(stage.name, Observed()) for stage in plan.stages}
    requests = {stage.name: plan.rows * count_parts(plan, stage) for stage in plan.stages}
    requests.update(to_ask or {})
    # Rendering is the only costly part, and needed only where too little was seen.
    short = any(requests[name] and one.replies < ENOUGH for name, one in seen.items())
    rendered = _count_prompts(plan) if short else {}
    stages = tuple(
        _estimate_stage(plan, stage, requests[stage.name], seen[stage.name], rendered)
        for stage in plan.stages
    )
    seconds, bound_by = expect_seconds(
        plan.recipe, {s.stage: (s.requests, s.prompt_tokens + s.completion_tokens, s.seconds) for s in stages}
    )
    return Estimate(stages, seconds, bound_by)


def count_parts(plan: Plan, stage: Stage) -> int:
    """Return how many requests of a row a stage makes."""
    return len(plan.prompts.taxonomy.dimensions) if stage.per_preference else 1


def _estimate_stage(
    plan: Plan, stage: Stage, requests: int, seen: Observed, rendered: Mapping[str, float]
) -> StageEstimate:
    model = plan.models[stage.name]
    if seen.replies >= ENOUGH:
        share = requests / seen.replies
        prompt, completion = seen.prompt_tokens * share, seen.completion_tokens * share
        source = f"{seen.replies:,} {seen.source}"
    elif requests:
        prompt = rendered[stage.name] / count_parts(plan, stage) * requests
        completion = float(stage.tokens * requests)
        source = f"{stage.tokens} tokens for each reply, by default"
    else:
        prompt, completion, source = 0.0, 0.0, "nothing to ask"
    return StageEstimate(
        stage=stage.name,
        model=model.label,
        requests=requests,
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        source=source,
        live=model.find_price("live"),
        batch=model.find_price("batch"),
        seconds=seen.seconds,
    )


def _count_prompts(plan: Plan) -> dict[str, float]:
    """Mean prompt tokens of a row in each stage, from rendered rows."""
    totals = dict.fromkeys(plan.models, 0)
    rows = 0
    for task in _spread_tasks(plan):
        rows += 1
        for stage, _, turns, draft in plan.prompts.preview(task, characters_per_token=CHARACTERS_PER_TOKEN):
            totals[stage.name] += sum(len(message.content) for message in turns)
            schema = stage.schema(draft, small=plan.models[stage.name].small)
            totals[stage.name] += len(canonical_json(schema)) if schema else 0
    return {stage: total / rows / CHARACTERS_PER_TOKEN for stage, total in totals.items()}


def _spread_tasks(plan: Plan) -> Iterator[RowTask]:
    """At most `RENDERED` rows, evenly spread over the pool, of each variant in turn."""
    step = max(1, plan.instructions // RENDERED)
    for number, instruction in enumerate(islice(plan.read_instructions(), 0, None, step)):
        tasks = plan.tasks_of(instruction)
        yield tasks[number % len(tasks)]


def _sum(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
