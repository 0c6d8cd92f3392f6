"""Anthropic's compatible endpoint: no response format, one of temperature and top_p, overloaded as 529."""

from dataclasses import replace
from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    change_content,
    drop_refusal,
    fail_once,
)
from multifaceted.testing.personalities.writing import fence
from multifaceted.testing.problems import Problem, describe_openai
from multifaceted.testing.replies import Completion

_OVERLOADED = Problem(529, "Overloaded", kind="overloaded_error")
_BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."


def _write(completion: Completion, _: Body) -> Completion:
    return change_content(drop_refusal(completion), fence)


def _describe(problem: Problem) -> dict[str, Any]:
    """Return OpenAI's shape, with the kind of error as its code too."""
    return describe_openai(replace(problem, code=problem.kind))


def _refuse_both(body: Body) -> Problem | None:
    return Problem(400, _BOTH) if "temperature" in body and "top_p" in body else None


def _refuse_overflow(overflow: Overflow) -> Problem | None:
    message = (
        f"input length and `max_tokens` exceed context limit: {overflow.prompt} + {overflow.asked} > "
        f"{overflow.limit}, decrease input length or `max_tokens` and try again"
    )
    return Problem(400, message)


ANTHROPIC = Personality(
    name="anthropic",
    summary="refuses temperature beside top_p; ignores response_format and seed; 529 when overloaded",
    sources=(
        "https://platform.claude.com/docs/en/api/openai-sdk",
        "https://github.com/cloud-apim/otoroshi-llm-extension/issues/140",
        "https://github.com/anomalyco/opencode/issues/28930",
        "https://github.com/anthropics/claude-code/issues/35792",
        "https://github.com/anthropics/anthropic-sdk-typescript/issues/690",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, "invalid x-api-key", kind="authentication_error"),
    unknown_model=lambda name: Problem(404, f"model: {name}", kind="not_found_error"),
    overflow=_refuse_overflow,
    refusals=(_refuse_both,),
    troubles=(fail_once(_OVERLOADED),),
    ignored=frozenset({"response_format", "seed"}),
    statuses={
        429: Problem(429, "Number of requests has exceeded your rate limit", kind="rate_limit_error"),
        529: _OVERLOADED,
    },
)
