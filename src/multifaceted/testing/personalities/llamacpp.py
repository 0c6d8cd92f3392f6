"""llama-server of llama.cpp: answers to any model's name, loads while it serves, cuts at the context."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    change_content,
    drop_refusal,
    fail_once,
)
from multifaceted.testing.personalities.writing import indent
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion

_LOADING = Problem(503, "Loading model", kind="unavailable_error")
_TIMINGS = {
    "cache_n": 0,
    "prompt_n": 42,
    "prompt_ms": 339.243,
    "prompt_per_token_ms": 8.077,
    "prompt_per_second": 123.805,
    "predicted_n": 8,
    "predicted_ms": 154.414,
    "predicted_per_token_ms": 19.302,
    "predicted_per_second": 51.809,
}


def _write(completion: Completion, _: Body) -> Completion:
    indented = change_content(drop_refusal(completion), indent)
    usage = {**completion["usage"], "prompt_tokens_details": {"cached_tokens": 0}}
    return add_fields(
        indented, system_fingerprint="b0-unknown", model="model.gguf", usage=usage, timings=_TIMINGS
    )


def _describe(problem: Problem) -> dict[str, Any]:
    error = {"code": problem.status, "message": problem.message, "type": problem.kind}
    return {"error": {**error, **problem.extra}}


def _refuse_prompt(overflow: Overflow) -> Problem | None:
    """Refuse a prompt that leaves no room; a `max_tokens` that is too large runs into the context instead."""
    if overflow.prompt < overflow.limit:
        return None
    message = (
        f"request ({overflow.prompt} tokens) exceeds the available context size ({overflow.limit} tokens), "
        "try increasing it"
    )
    counts = {"n_prompt_tokens": overflow.prompt, "n_ctx": overflow.limit}
    return Problem(400, message, kind="exceed_context_size_error", extra=counts)


LLAMA_CPP = Personality(
    name="llama-cpp",
    summary="answers to any model name; 503 while it loads; JSON over several lines; cuts at the context",
    sources=(
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        "https://github.com/mostlygeek/llama-swap/issues/146",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, "Invalid API Key", kind="authentication_error"),
    unknown_model=None,
    overflow=_refuse_prompt,
    wrong_path=lambda *_: Problem(404, "File Not Found", kind="not_found_error"),
    troubles=(fail_once(_LOADING),),
    statuses={503: _LOADING},
)
