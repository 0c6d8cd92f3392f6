"""The LiteLLM proxy: every refusal is a 400 with the code as a text, a wrong key too."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    drop_refusal,
    fail_once,
    miss_path,
    refuse_parameter,
)
from multifaceted.testing.problems import Problem, describe_detail, describe_openai
from multifaceted.testing.replies import Completion

_NO_KEY = Problem(500)  # without any key, the proxy fails on itself
_BY_FASTAPI = (404, 405)
_UNSUPPORTED = (
    "litellm.UnsupportedParamsError: anthropic does not support parameters: ['seed'], for model=some-model. "
    "To drop these, set `litellm.drop_params=True` or for proxy:\n\n`litellm_settings:\n drop_params: true`\n"
)
_BUSY = Problem(
    429,
    "No deployments available for selected model, Try again in 1 seconds. All deployments for selected model "
    "are in cooldown. Passed model=some-model.",
    kind="all_deployments_in_cooldown",
    code="429",
)


def _write(completion: Completion, _: Body) -> Completion:
    usage = {**completion["usage"], "completion_tokens_details": None, "prompt_tokens_details": None}
    choice: dict[str, Any] = {"provider_specific_fields": {}}
    return add_fields(drop_refusal(completion), choice=choice, usage=usage, system_fingerprint=None)


def _describe(problem: Problem) -> Any:
    if problem.status in _BY_FASTAPI:
        return describe_detail(problem)
    return "Internal Server Error" if problem is _NO_KEY else describe_openai(problem)


def _refuse_key(key: str) -> Problem:
    if not key:
        return _NO_KEY
    return Problem(400, "No connected db.", kind="no_db_connection", code="400")


def _miss_model(name: str) -> Problem:
    message = (
        f"/chat/completions: Invalid model name passed in model={name}. Call `/v1/models` to view available "
        "models for your key."
    )
    return Problem(400, message, code="400", extra={"provider_specific_fields": {"error": message}})


def _refuse_overflow(overflow: Overflow) -> Problem | None:
    if overflow.prompt < overflow.limit:
        return None
    message = (
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: "
        f"OpenAIException - request ({overflow.prompt} tokens) exceeds the available context size "
        f"({overflow.limit} tokens), try increasing it"
    )
    return Problem(400, message, code="400")


LITELLM = Personality(
    name="litellm",
    summary="a wrong key and an unknown model are 400; refuses seed; usage details are null",
    sources=(
        "https://github.com/BerriAI/litellm/issues/12273",
        "https://github.com/BerriAI/litellm/issues/8821",
        "https://github.com/mcdonc/klangk/pull/2067",
        "https://github.com/BerriAI/litellm/issues/20867",
    ),
    write=_write,
    describe=_describe,
    wrong_key=_refuse_key,
    unknown_model=_miss_model,
    overflow=_refuse_overflow,
    wrong_path=miss_path,
    refusals=(refuse_parameter("seed", _UNSUPPORTED, code="400"),),
    troubles=(fail_once(_BUSY),),
    one_in=6,
    statuses={429: _BUSY},
)
