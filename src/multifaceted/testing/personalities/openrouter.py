"""OpenRouter: errors inside a 200, choices that break off, comments before the body, native endings."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Personality,
    add_fields,
    change_content,
    fail_once,
)
from multifaceted.testing.personalities.writing import cut_half
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion, number_request

_NATIVE = ("stop", "end_turn", "STOP", "eos")
_PREAMBLES = (": OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n", "\n         \n\n         \n", "")
_BROKEN = {
    "code": 502,
    "message": "Network connection lost.",
    "metadata": {"error_type": "provider_unavailable"},
}


def _write(completion: Completion, body: Body) -> Completion:
    native = _NATIVE[number_request(body) % len(_NATIVE)]
    usage = {**completion["usage"], "cost": 0.00014, "is_byok": False}
    return add_fields(
        completion,
        choice={"native_finish_reason": native, "logprobs": None},
        message={"reasoning": None},
        usage=usage,
        provider="Some Provider",
    )


def _describe(problem: Problem) -> dict[str, Any]:
    return {"error": {"message": problem.message, "code": problem.status, **problem.extra}}


def _break_off(completion: Completion) -> Completion:
    half = change_content(completion, cut_half)
    return add_fields(
        half, choice={"finish_reason": "error", "native_finish_reason": "error", "error": _BROKEN}
    )


def _name_provider(raw: str) -> dict[str, Any]:
    return {"metadata": {"raw": raw, "provider_name": "Some Provider"}}


_RETURNED = Problem(502, "Provider returned error", extra=_name_provider("upstream connect error"), http=200)
_LIMITED = Problem(
    429,
    "Provider returned error",
    extra=_name_provider("some-model is temporarily rate-limited upstream. Please retry shortly"),
)
_NO_CREDIT = Problem(402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits")

OPENROUTER = Personality(
    name="openrouter",
    summary="errors inside a 200; finish_reason error with choices[0].error; comments before the JSON",
    sources=(
        "https://openrouter.ai/docs/api/reference/errors-and-debugging",
        "https://openrouter.ai/docs/api/reference/streaming",
        "https://github.com/razzant/claudexor/issues/144",
        "https://github.com/pydantic/pydantic-ai/issues/2844",
        "https://github.com/OpenRouterTeam/openrouter-examples/issues/74",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, "User not found."),
    unknown_model=lambda name: Problem(400, f"{name} is not a valid model ID"),
    troubles=(fail_once(_RETURNED), _break_off, fail_once(_LIMITED)),
    statuses={402: _NO_CREDIT, 429: _LIMITED, 502: _RETURNED},
    preamble=lambda body: _PREAMBLES[number_request(body) % len(_PREAMBLES)],
)
