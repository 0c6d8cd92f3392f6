"""Mistral's API: text as a list of parts, and HTTP 422 with a nested message for an unknown parameter."""

from typing import Any

from multifaceted.testing.personalities.base import Body, Personality, change_content, drop_refusal, fail_once
from multifaceted.testing.personalities.writing import think_aloud
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion

_LIMITED = Problem(429, "Requests rate limit exceeded", kind="rate_limited", code="1300")


def _split(text: str) -> list[dict[str, Any]]:
    thoughts = [{"type": "text", "text": think_aloud(text)}]
    return [{"type": "thinking", "thinking": thoughts, "closed": True}, {"type": "text", "text": text}]


def _write(completion: Completion, _: Body) -> Completion:
    return change_content(drop_refusal(completion), _split, tool_calls=None)


def _describe(problem: Problem) -> dict[str, Any]:
    if problem.status == 401:  # noqa: PLR2004 - said by the gateway
        return {"detail": problem.message}
    named = {"message": problem.message, "type": problem.kind, "param": problem.param, "code": problem.code}
    return {"object": "error", **named}


def _refuse_seed(body: Body) -> Problem | None:
    if "seed" not in body:
        return None
    detail = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
    return Problem(422, {"detail": [{**detail, "input": body["seed"]}]})


MISTRAL = Personality(
    name="mistral",
    summary="text as a list of parts, thoughts among them; refuses seed as 422 with a nested message",
    sources=(
        "https://github.com/infiniflow/ragflow/pull/14805",
        "https://github.com/NousResearch/hermes-agent/pull/4748",
        "https://github.com/langchain-ai/langchain-azure/issues/82",
        "https://github.com/editor-code-assistant/eca/issues/231",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, "Unauthorized"),
    unknown_model=lambda name: Problem(400, f"Invalid model: {name}", kind="invalid_model", code="1500"),
    refusals=(_refuse_seed,),
    troubles=(fail_once(_LIMITED),),
    one_in=6,
    statuses={429: _LIMITED},
)
