"""vLLM's server: many null fields, `max_tokens` held against the context, templates that refuse a role."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    miss_path,
    refuse_system,
)
from multifaceted.testing.problems import Problem, describe_detail
from multifaceted.testing.replies import Completion

_BAD = "BadRequestError"
_BY_FASTAPI = ("Not Found", "Method Not Allowed")
_MOST_HEAT = 2.0
_UNUSED = (
    *("prompt_logprobs", "prompt_token_ids", "prompt_text", "kv_transfer_params", "ec_transfer_params"),
    *("metrics", "service_tier"),
)


def _write(completion: Completion, _: Body) -> Completion:
    message = dict.fromkeys(("annotations", "audio", "function_call", "reasoning"))
    choice = dict.fromkeys(("logprobs", "stop_reason", "token_ids", "routed_experts"))
    details = dict.fromkeys(("prompt_tokens_details", "completion_tokens_details"))
    top = {
        **dict.fromkeys(_UNUSED),
        "system_fingerprint": "vllm-0.32.0",
        "usage": {**details, **completion["usage"]},
    }
    return add_fields(completion, choice=choice, message=message, **top)


def _describe(problem: Problem) -> dict[str, Any]:
    if problem.status == 401:  # noqa: PLR2004 - said before any of its own errors is made
        return {"error": "Unauthorized"}
    if problem.message in _BY_FASTAPI:
        return describe_detail(problem)
    error = {"message": problem.message, "type": problem.kind, "param": problem.param, "code": problem.status}
    return {"error": error}


def _refuse_overflow(overflow: Overflow) -> Problem:
    """Refuse in the words of version 0.32; where the sum alone is too large, in those of versions before."""
    prompt, asked, limit = overflow
    if asked > limit:
        message = (
            f"max_tokens={asked} cannot be greater than max_model_len={limit}. Please request fewer output "
            f"tokens. (parameter=max_tokens, value={asked})"
        )
    elif prompt > limit:
        message = (
            f"This model's maximum context length is {limit} tokens. However, your prompt contains at least "
            f"{limit + 1} input tokens, which exceeds this limit even without any output tokens. Please "
            f"reduce the length of the input prompt. (parameter=input_tokens, value={limit + 1})"
        )
    else:
        message = (
            f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context "
            f"length is {limit} tokens and your request has {prompt} input tokens ({asked} > {limit} - "
            f"{prompt})."
        )
    param = "max_tokens" if asked > limit or prompt <= limit else "input_tokens"
    return Problem(400, message, kind=_BAD, param=param)


def _refuse_heat(body: Body) -> Problem | None:
    heat = body.get("temperature")
    if not isinstance(heat, (int, float)) or 0 <= heat <= _MOST_HEAT:
        return None
    message = f"temperature must be in [0, 2], got {heat}. (parameter=temperature, value={heat})"
    return Problem(400, message, kind=_BAD, param="temperature")


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
    unknown_model=lambda name: Problem(
        404, f"The model `{name}` does not exist.", kind="NotFoundError", param="model"
    ),
    overflow=_refuse_overflow,
    wrong_path=miss_path,
    refusals=(
        _refuse_heat,
        refuse_system(Problem(400, "System role not supported", kind=_BAD)),
    ),
    statuses={500: Problem(500, "EngineCore encountered an issue.", kind="InternalServerError")},
)
