"""A plan and its cost as plain data, for `--json`."""

from multifaceted.pipeline import Rest
from multifaceted.planning import Plan
from multifaceted.planning.cost import Estimate


def describe_plan(compiled: Plan, estimate: Estimate, rest: Rest | None) -> dict[str, object]:
    """Return what a plan will ask and cost; with `rest`, also what a run of it has left."""
    by_stage: dict[str, int] = {stage.stage: stage.requests for stage in estimate.stages}
    return {
        **_describe_plan(compiled),
        "requests": {"total": sum(by_stage.values()), **by_stage},
        "run": _describe_rest(rest) if rest else None,
        **_describe_estimate(estimate),
    }


def _describe_estimate(estimate: Estimate) -> dict[str, object]:
    return {
        "tokens": {
            "prompt": {stage.stage: stage.prompt_tokens for stage in estimate.stages},
            "completion": {stage.stage: stage.completion_tokens for stage in estimate.stages},
            "source": {stage.stage: stage.source for stage in estimate.stages},
        },
        "usd": {
            "live": estimate.live_usd,
            "batch": estimate.batch_usd,
            "prices": {stage.stage: stage.live.source if stage.live else None for stage in estimate.stages},
        },
        "seconds": estimate.seconds,
        "seconds_bound_by": estimate.bound_by,
    }


def _describe_rest(rest: Rest) -> dict[str, object]:
    forecast = rest.forecast
    names = ("answered", "under_way", "to_ask", "again", "repairs")
    counts = {
        name: {stage: round(getattr(found, name)) for stage, found in forecast.stages.items()}
        for name in names
    }
    return {
        "ok": round(forecast.ok),
        "failed": round(forecast.failed),
        "open": round(forecast.open),
        "looked_at": forecast.looked_at,
        "changes": rest.changes,
        **{name: {"total": sum(found.values()), **found} for name, found in counts.items()},
        **_describe_estimate(rest.estimate),  # of what is to ask
    }


def _describe_plan(compiled: Plan) -> dict[str, object]:
    return {
        "kind": compiled.kind.name,
        "name": compiled.recipe.name,
        "instructions": compiled.instructions,
        "variants": compiled.recipe.variants,
        "rows": compiled.rows,
        "shards": len(compiled.shards),
        "models": {stage: model.label for stage, model in compiled.models.items()},
        "templates": compiled.prompts.hashes,
        "taxonomy": {
            "version": compiled.prompts.taxonomy.version,
            "fingerprint": compiled.prompts.index.fingerprint,
        },
    }
