"""What a plan will use and cost: `estimate_stages(plan, observed)`, before anything is spent.

Lengths are taken from the replies that a run's journals hold, where they hold some. Else prompts are rendered
and counted, with a stand-in of the stated length where a prompt holds an earlier reply.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from multifaceted.ids import canonical_json
from multifaceted.plan.compile import Plan, model_label
from multifaceted.plan.limits import expect_seconds
from multifaceted.plan.prices import Price, find_price
from multifaceted.prompts.preview import preview_row
from multifaceted.records import RowTask, Stage

# Tokens of a reply before there is any to look at. System messages of the original collection have 680 to
# 1,370 characters (Lee et al. 2024, Bench), and its rubrics some 1,000; the others are from trials with the
# shipped templates.
REPLY_TOKENS: dict[Stage, int] = {"preferences": 300, "system_message": 250, "response": 450, "rubric": 250}
CHARACTERS_PER_TOKEN = 4  # of English text, by OpenAI's rule of thumb
RENDERED = 500  # rows, spread over the pool, whose prompts are counted
ENOUGH = 20  # replies, from which on their lengths are believed


@dataclass(frozen=True, slots=True)
class Observed:
    """What the replies of one stage came to so far."""

    replies: int = 0
    rows: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage of a whole run. Costs are None where the price is unknown."""

    stage: Stage
    model: str
    requests: int  # repair turns included, where some were observed
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
    """A whole run."""

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


def estimate(plan: Plan, observed: Mapping[Stage, Observed]) -> Estimate:
    """Estimate a whole run.

    Args:
        plan: what to make.
        observed: what replies came to so far, by stage; an empty map where there are none.
    """
    # Rendering is the only costly part, and needed only where too little was seen.
    seen = {stage: observed.get(stage, Observed()) for stage in plan.kind.stages}
    rendered = {} if all(s.rows >= ENOUGH for s in seen.values()) else _count_prompts(plan)
    stages = tuple(_estimate_stage(plan, stage, seen[stage], rendered) for stage in plan.kind.stages)
    seconds, bound_by = expect_seconds(
        plan.recipe, {s.stage: (s.requests, s.prompt_tokens + s.completion_tokens, s.seconds) for s in stages}
    )
    return Estimate(stages, seconds, bound_by)


def _estimate_stage(
    plan: Plan, stage: Stage, seen: Observed, rendered: Mapping[Stage, float]
) -> StageEstimate:
    model = plan.recipe.model_for(stage)
    if seen.rows >= ENOUGH:
        share = plan.rows / seen.rows
        requests = round(seen.replies * share)
        prompt, completion = seen.prompt_tokens * share, seen.completion_tokens * share
        source = f"{seen.replies:,} replies in the journal"
    else:
        requests = plan.rows * plan.requests_per_row(stage)
        prompt, completion = rendered[stage] * plan.rows, REPLY_TOKENS[stage] * requests
        source = f"{REPLY_TOKENS[stage]} tokens for each reply, by default"
    return StageEstimate(
        stage=stage,
        model=model_label(model),
        requests=requests,
        prompt_tokens=round(prompt),
        completion_tokens=round(completion),
        source=source,
        live=find_price(model),
        batch=find_price(model, "batch"),
        seconds=seen.seconds / seen.replies if seen.seconds else None,
    )


def _count_prompts(plan: Plan) -> dict[Stage, float]:
    """Mean prompt tokens of a row in each stage, from rendered rows."""
    totals = dict.fromkeys(plan.kind.stages, 0)
    rows = 0
    stand_in = "x" * (REPLY_TOKENS["system_message"] * CHARACTERS_PER_TOKEN)
    for task in _spread_tasks(plan):
        rows += 1
        for stage, _, turns in preview_row(plan.prompts, task, system=stand_in):
            totals[stage] += sum(len(message.content) for message in turns)
            small = plan.recipe.model_for(stage).small
            schema = plan.prompts.reply_schema(stage, task, fix_known=small)
            totals[stage] += len(canonical_json(schema)) if schema else 0
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
