"""LM Studio's server: knows `json_schema` but no `json_object`; says 200 to a path that it does not know."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Overflow,
    Personality,
    add_fields,
    drop_refusal,
    refuse_format,
)
from multifaceted.testing.problems import Problem, describe_openai
from multifaceted.testing.replies import Completion

_FORMAT = Problem(400, "'response_format.type' must be 'json_schema' or 'text'", kind=None)


def _write(completion: Completion, body: Body) -> Completion:
    choice = {"logprobs": None}
    message: dict[str, Any] = {"tool_calls": []}
    name = str(body.get("model"))
    return add_fields(
        drop_refusal(completion), choice=choice, message=message, stats={}, system_fingerprint=name
    )


def _describe(problem: Problem) -> dict[str, Any]:
    """Return an error as one text, as most of its errors are."""
    return {"error": problem.message} if problem.kind is None else describe_openai(problem)


def _miss_model(name: str) -> Problem:
    message = (
        f'Invalid model identifier "{name}". Please specify a valid downloaded model (e.g., some-model).'
    )
    return Problem(400, message, code="model_not_found", param="model")


def _refuse_overflow(overflow: Overflow) -> Problem | None:
    if overflow.prompt < overflow.limit:
        return None
    message = (
        "The number of tokens to keep from the initial prompt is greater than the context length. Try to "
        "load the model with a larger context length, or provide a shorter input"
    )
    return Problem(400, message, kind=None)


LM_STUDIO = Personality(
    name="lm-studio",
    summary="refuses json_object; errors are one text; a wrong path is an error inside a 200",
    sources=(
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/189",
        "https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/618",
        "https://github.com/assafelovic/gpt-researcher/issues/1556",
    ),
    write=_write,
    describe=_describe,
    wrong_key=None,
    unknown_model=_miss_model,
    overflow=_refuse_overflow,
    wrong_path=lambda method, path: Problem(
        200, f"Unexpected endpoint or method. ({method} {path})", kind=None
    ),
    refusals=(refuse_format("json_object", _FORMAT),),
)
