"""vLLM's server: many null fields, `max_tokens` held against the context, templates that refuse a role."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    refuse_system,
)
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion

_BAD = "BadRequestError"
_UNUSED = ("prompt_logprobs", "prompt_token_ids", "kv_transfer_params", "service_tier", "system_fingerprint")


def _write(completion: Completion, _: Body) -> Completion:
    message = dict.fromkeys(("annotations", "audio", "function_call", "reasoning"))
    choice = dict.fromkeys(("logprobs", "stop_reason", "token_ids"))
    usage = {"prompt_tokens_details": None, **completion["usage"]}
    return add_fields(completion, choice=choice, message=message, usage=usage, **dict.fromkeys(_UNUSED))


def _describe(problem: Problem) -> dict[str, Any]:
    if problem.status == 401:  # noqa: PLR2004 - said before any of its own errors is made
        return {"error": "Unauthorized"}
    error = {"message": problem.message, "type": problem.kind, "param": problem.param, "code": problem.status}
    return {"error": error}


def _refuse_overflow(overflow: Overflow) -> Problem:
    prompt, asked, limit = overflow
    if prompt > limit:
        message = (
            f"This model's maximum context length is {limit} tokens. However, your request has {prompt} "
            "input tokens. Please reduce the length of the input messages."
        )
        return Problem(400, message, kind=_BAD)
    message = (
        f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length "
        f"is {limit} tokens and your request has {prompt} input tokens ({asked} > {limit} - {prompt})."
    )
    return Problem(400, message, kind=_BAD)


VLLM = Personality(
    name="vllm",
    summary="null fields everywhere; refuses a max_tokens beyond the context; Gemma has no system role",
    sources=(
        "https://github.com/vllm-project/vllm/blob/main/vllm/entrypoints/openai/chat_completion/protocol.py",
        "https://github.com/vllm-project/vllm/issues/3485",
        "https://github.com/vllm-project/vllm/issues/33418",
        "https://github.com/vllm-project/vllm/pull/2964",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401),
    unknown_model=lambda name: Problem(404, f"The model `{name}` does not exist.", kind="NotFoundError"),
    overflow=_refuse_overflow,
    wrong_path=lambda *_: Problem(404, "Not Found", kind="Not Found"),
    refusals=(refuse_system(Problem(400, "System role not supported", kind=_BAD)),),
    statuses={500: Problem(500, "EngineCore encountered an issue.", kind="InternalServerError")},
)
