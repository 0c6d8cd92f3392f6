"""Ollama's compatible API: looks at no key, cuts long prompts without a word, thinks in `reasoning`."""

from typing import Any

from multifaceted.testing.personalities.base import (
    Body,
    Personality,
    add_fields,
    drop_refusal,
    fail_once,
)
from multifaceted.testing.personalities.writing import think_aloud
from multifaceted.testing.problems import Problem, describe_openai
from multifaceted.testing.replies import Completion

_BUSY = Problem(503, "server busy, please try again.  maximum pending requests exceeded", kind="api_error")
_THINKERS = ("r1", "qwen3", "gpt-oss", "think")


def _write(completion: Completion, body: Body) -> Completion:
    message: dict[str, Any] = {}
    if any(name in str(body.get("model", "")).lower() for name in _THINKERS):
        message["reasoning"] = think_aloud(completion["choices"][0]["message"]["content"] or "")
    return add_fields(drop_refusal(completion), message=message, system_fingerprint="fp_ollama")


OLLAMA = Personality(
    name="ollama",
    summary="looks at no key; cuts a long prompt without a word; 503 when its queue is full",
    sources=(
        "https://github.com/ollama/ollama/blob/main/openai/openai.go",
        "https://github.com/ollama/ollama/issues/4159",
        "https://github.com/ollama/ollama/issues/15288",
    ),
    write=_write,
    describe=describe_openai,
    wrong_key=None,
    unknown_model=lambda name: Problem(
        404, f'model "{name}" not found, try pulling it first', kind="not_found_error"
    ),
    overflow=None,
    troubles=(fail_once(_BUSY),),
    one_in=6,
    statuses={503: _BUSY},
)
