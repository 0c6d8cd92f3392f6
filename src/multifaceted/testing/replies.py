"""What the server answers to one request: a pure function of the request's body and of its fault.

Example:
    make_reply({"model": "m", "messages": [{"role": "user", "content": "Why?"}], "seed": 7})
"""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from multifaceted.ids import content_id
from multifaceted.testing.asked import read_asked_schema
from multifaceted.testing.faults import Fault
from multifaceted.testing.problems import Problem, describe_openai

_WORDS = (
    *("answer", "careful", "clear", "detail", "example", "gentle", "honest", "idea", "kind", "learn"),
    *("light", "measure", "patient", "plain", "question", "reader", "reason", "share", "simple", "step"),
    *("story", "sure", "teach", "thing", "think", "useful", "voice", "warm", "word"),
)
CHARACTERS_PER_TOKEN = 4  # about right for English, and easy to go by in a test

Completion = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """An HTTP answer before it is sent, or put into a line of a batch's results.

    Args:
        status: HTTP status.
        body: JSON, or the whole text.
        headers: sent with it.
        preamble: sent before a JSON body; a batch leaves it out.
        events: sent as server-sent events; a batch leaves that out too.
    """

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    preamble: str = ""
    events: bool = False


def describe_error(
    message: str,
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
) -> dict[str, Any]:
    """Return the body of an error, in OpenAI's shape."""
    return describe_openai(Problem(0, message, kind=kind, code=code, param=param))


def refuse_request(body: Mapping[str, Any], refused: tuple[str, ...]) -> Problem | None:
    """HTTP 400 for what the body lacks, or for the first of `refused` that it uses.

    A response format is refused by its type, `json_schema` or `json_object`.
    """
    for name in ("model", "messages"):
        if name not in body:
            message = f"Missing required parameter: '{name}'."
            return Problem(400, message, code="missing_required_parameter", param=name)
    for name in refused:
        if name in body or (body.get("response_format") or {}).get("type") == name:
            instead = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
            what = "response_format" if name.startswith("json_") else name
            message = f"Unsupported parameter: '{what}' is not supported with this model.{instead}"
            return Problem(400, message, code="unsupported_parameter", param=what)
    return None


def identify_request(body: Mapping[str, Any]) -> str:
    """Return what makes two requests the same one, live or in a batch: messages and seed."""
    return content_id([body.get("messages"), body.get("seed")])


def number_request(body: Mapping[str, Any]) -> int:
    """A number of this request, the same in every run: what differs from request to request goes by it."""
    return int(identify_request(body)[:8], 16)


def estimate_tokens(body: Mapping[str, Any]) -> int:
    """Return tokens of the prompt and of the reply that this server makes up."""
    return count_prompt(body) + len(make_reply(body)) // CHARACTERS_PER_TOKEN


def complete(body: Mapping[str, Any], fault: Fault, *, cached: int = 0, reasoning: int = 0) -> Completion:
    """Return a chat completion in OpenAI's shape.

    Args:
        body: of the request.
        fault: changes content, finish reason or refusal; what it changes besides is spoiled by `spoil`.
        cached: prompt tokens to report as cached, at most all of them; 0 reports nothing.
        reasoning: completion tokens to report as reasoning, on top of the visible ones; 0 reports nothing.
    """
    content = fault.content
    if content is None and fault.refusal is None:
        content = make_reply(body)
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": fault.refusal},
        "finish_reason": "stop",
    }
    return {
        "id": "chatcmpl-loopback",
        "object": "chat.completion",
        "created": 0,  # not the time: equal requests get equal replies
        "model": body["model"],
        "choices": [choice],
        "usage": _report_usage(count_prompt(body), content or "", cached=cached, reasoning=reasoning),
    }


def make_reply(body: Mapping[str, Any]) -> str:
    """Return the text this server answers with: an instance of the asked-for schema, or forty words.

    They begin with "You", so that as a system message they speak to the assistant, as curation wants it.
    Where no schema is sent, but the prompt says which keys a JSON object has, that is what is answered.
    """
    generator = random.Random(identify_request(body))  # noqa: S311 - no secret
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    schema = read_asked_schema(body.get("messages") or []) if schema is None else schema
    if schema is not None:
        return json.dumps(_instance(schema, generator))
    return f"You {_words(generator, 39).lower()}"


def count_prompt(body: Mapping[str, Any]) -> int:
    """Return tokens of the prompt, as this server counts them."""
    return len(json.dumps(body.get("messages"))) // CHARACTERS_PER_TOKEN


def _report_usage(prompt: int, content: str, *, cached: int, reasoning: int) -> dict[str, Any]:
    completion = len(content) // CHARACTERS_PER_TOKEN + reasoning
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if cached > 0:
        usage["prompt_tokens_details"] = {"cached_tokens": min(cached, prompt)}
    if reasoning > 0:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return usage


def _instance(schema: dict[str, Any], generator: random.Random) -> Any:
    if "const" in schema:
        return schema["const"]
    if schema.get("type") == "object":
        return {name: _instance(inner, generator) for name, inner in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_instance(schema["items"], generator) for _ in range(2)]
    return _scalar(schema, generator)


def _scalar(schema: dict[str, Any], generator: random.Random) -> Any:
    if "enum" in schema:
        return generator.choice(schema["enum"])
    if schema.get("type") in ("number", "integer"):
        return _number(schema, generator)
    if schema.get("type") == "boolean":
        return bool(generator.getrandbits(1))
    return _words(generator, 8)[: schema.get("maxLength")]


def _number(schema: dict[str, Any], generator: random.Random) -> int:
    """Return a whole number within the bounds of the schema; ten of them where one side is open."""
    lowest, highest = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        lowest = math.floor(schema["exclusiveMinimum"]) + 1
    if "exclusiveMaximum" in schema:
        highest = math.ceil(schema["exclusiveMaximum"]) - 1
    if lowest is None:
        lowest = 0 if highest is None else min(0, highest - 9)
    highest = lowest + 9 if highest is None else highest
    step = schema.get("multipleOf", 1)
    first, last = math.ceil(lowest / step), math.floor(highest / step)
    return int(generator.randint(first, max(first, last)) * step)


def _words(generator: random.Random, count: int) -> str:
    return " ".join(generator.choices(_WORDS, k=count)).capitalize() + "."
