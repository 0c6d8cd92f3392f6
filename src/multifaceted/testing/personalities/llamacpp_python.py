"""The server of llama-cpp-python: HTTP 500 for whatever it cannot do, `json_schema` first of all."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    change_content,
    drop_refusal,
    miss_path,
    refuse_format,
    refuse_overflow,
    refuse_system,
)
from multifaceted.testing.problems import Problem, describe_detail, describe_openai
from multifaceted.testing.replies import Completion

_INTERNAL = "internal_server_error"
_LITERAL = (
    "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
    "\"Input should be 'text' or 'json_object'\", 'input': 'json_schema', 'ctx': {'expected': \"'text' or "
    '\'json_object\'"}}\n\n  File "site-packages/llama_cpp/server/app.py", line 376, in '
    "create_chat_completion\n    POST /v1/chat/completions"
)


def _write(completion: Completion, _: Body) -> Completion:
    spaced = change_content(drop_refusal(completion), lambda text: f"{text} ")  # so its grammar ends
    return add_fields(spaced, choice={"logprobs": None})


def _describe(problem: Problem) -> dict[str, Any]:
    plain = problem.status in (401, 404, 405)  # said by FastAPI itself
    return describe_detail(problem) if plain else describe_openai(problem)


def _refuse_prompt(overflow: Overflow) -> Problem | None:
    """Refuse a prompt that leaves no room; `max_tokens` is lowered to what the context holds."""
    return refuse_overflow(overflow) if overflow.prompt >= overflow.limit else None


LLAMA_CPP_PYTHON = Personality(
    name="llama-cpp-python",
    summary="refuses json_schema, and Gemma's system role, with HTTP 500; answers to any model name",
    sources=(
        "https://github.com/ggml-org/llama.cpp/issues/23463",
        "https://github.com/abetlen/llama-cpp-python/blob/main/llama_cpp/server/errors.py",
        "https://github.com/abetlen/llama-cpp-python/issues/1580",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, "Invalid API key"),
    unknown_model=None,
    overflow=_refuse_prompt,
    wrong_path=miss_path,
    refusals=(
        refuse_format("json_schema", Problem(500, _LITERAL, kind=_INTERNAL)),
        refuse_system(Problem(500, "System role not supported", kind=_INTERNAL)),
    ),
    statuses={500: Problem(500, "llama_decode returned -1", kind=_INTERNAL)},
)
