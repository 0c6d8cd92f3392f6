"""Token counts of a reply, read leniently: what makes no sense is unknown, and never a number to go by.

Example:
    read_tokens({"prompt_tokens": "12", "completion_tokens": 37.25})     # 12 and 38
    read_tokens({"prompt_tokens": -5}).prompt                            # None
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Tokens of one reply or prompt, above which a count makes no sense: the largest contexts hold as many.
MAX_TOKENS = 10_000_000


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a reply's usage says; None where it says nothing, or nothing that makes sense."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0  # of the prompt's
    reasoning: int = 0  # of the completion's


def read_tokens(usage: Any) -> Tokens:
    """Read a reply's usage, under the names of OpenAI's API or of Anthropic's.

    Some endpoints count reasoning in `total_tokens` alone (Gemini, xAI). It is paid for like the rest, so the
    completion's count is what the total leaves for it.
    """
    if not isinstance(usage, Mapping):
        return Tokens()
    prompt = _first(usage, "prompt_tokens", "prompt_eval_count")
    completion = _first(usage, "completion_tokens", "output_tokens", "eval_count")
    if prompt is None and (prompt := _first(usage, "input_tokens")) is not None:
        # Anthropic counts what its cache holds beside the rest of the prompt
        cached = _first(usage, "cache_read_input_tokens") or 0
        prompt += cached + (_first(usage, "cache_creation_input_tokens") or 0)
    total = _first(usage, "total_tokens")
    if prompt is not None and completion is not None and total is not None:
        completion = max(completion, total - prompt)
    of_prompt, of_completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = (
        _first(of_prompt, "cached_tokens")
        or _first(usage, "prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
        or 0
    )
    reasoning = _first(of_completion, "reasoning_tokens") or _first(usage, "reasoning_tokens") or 0
    if completion is not None and reasoning > completion:
        completion += reasoning  # counted beside it
    # More than the prompt has are none: they are cheaper than others, and nobody knows how many there were.
    return Tokens(
        prompt, completion, cached if cached <= (prompt or 0) else 0, min(reasoning, completion or 0)
    )


def _first(counts: Any, *names: str) -> int | None:
    """Return the first of some counts that is given and makes sense."""
    found = (read_count(counts.get(name)) for name in names) if isinstance(counts, Mapping) else ()
    return next((count for count in found if count is not None), None)


def read_count(value: Any) -> int | None:
    """Read a number of tokens; parts of one are rounded up. None where it makes no sense."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        count = math.ceil(float(value)) if isinstance(value, str | float) else value
    except (ValueError, OverflowError):
        return None
    return count if 0 <= count <= MAX_TOKENS else None
