"""Gemini's compatible endpoint: errors in a list, a wrong key as 400, no `seed`, JSON in code fences."""

from collections.abc import Callable
from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    asked_format,
    change_content,
    drop_refusal,
    fail_once,
    refuse_parameter,
)
from multifaceted.testing.personalities.writing import break_lines, fence, indent
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion, number_request

_INVALID = "INVALID_ARGUMENT"
_UNKNOWN = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
_KEY = "API key not valid. Please pass a valid API key."
_OVERLOADED = Problem(503, "The model is overloaded. Please try again later.", kind="UNAVAILABLE")
_EXHAUSTED = Problem(
    429,
    "Resource has been exhausted (e.g. check quota).",
    kind="RESOURCE_EXHAUSTED",
    extra={"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]},
)
_THOUGHTS = 60  # tokens, in the total alone
_SPOILED: tuple[Callable[[str], str], ...] = (fence, break_lines, indent)


def _write(completion: Completion, body: Body) -> Completion:
    if completion["choices"][0]["finish_reason"] == "length":
        return _lose_content(completion)
    spoil: Callable[[str], str] = indent
    if asked_format(body) != "json_schema":
        spoil = _SPOILED[number_request(body) % len(_SPOILED)]
    usage = completion["usage"]
    counted = {**usage, "total_tokens": usage["total_tokens"] + _THOUGHTS}
    return {**change_content(drop_refusal(completion), spoil), "usage": counted}


def _describe(problem: Problem) -> list[dict[str, Any]]:
    error = {"code": problem.status, "message": problem.message, "status": problem.kind}
    return [{"error": {**error, **problem.extra}}]


def _refuse_overflow(overflow: Overflow) -> Problem | None:
    if overflow.prompt < overflow.limit:
        return None
    message = (
        f"The input token count ({overflow.prompt}) exceeds the maximum number of tokens allowed "
        f"({overflow.limit})."
    )
    return Problem(400, message, kind=_INVALID)


def _lose_content(completion: Completion) -> Completion:
    """Spend all tokens on thoughts: a reply that was cut has no content at all."""
    choice = {"index": 0, "finish_reason": "length", "message": {"role": "assistant"}}
    usage = completion["usage"]
    return {**completion, "choices": [choice], "usage": {**usage, "completion_tokens": 0}}


GEMINI = Personality(
    name="gemini",
    summary="errors in a list; a wrong key is 400; refuses seed; without json_schema, JSON in fences",
    sources=(
        "https://github.com/Vali-98/ChatterUI/issues/227",
        "https://github.com/continuedev/continue/issues/10290",
        "https://github.com/google-gemini/gemini-cli/issues/5191",
        "https://github.com/google-gemini/gemini-cli/issues/14811",
        "https://github.com/router-for-me/CLIProxyAPI/issues/5733",
        "https://github.com/FMXExpress/PasClaw/pull/432",
        "https://github.com/google/adk-python/issues/1357",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(400, _KEY, kind=_INVALID),
    unknown_model=lambda name: Problem(
        404, f"models/{name} is not found for API version v1main.", kind="NOT_FOUND"
    ),
    overflow=_refuse_overflow,
    refusals=(refuse_parameter("seed", _UNKNOWN, kind=_INVALID),),
    troubles=(fail_once(_OVERLOADED), fail_once(_EXHAUSTED)),
    statuses={429: _EXHAUSTED, 503: _OVERLOADED},
)
