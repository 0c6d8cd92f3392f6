"""DeepSeek-R1 behind a server that splits no thoughts off: they stand in the text, with a draft answer."""

from multifaceted.testing.personalities.base import (
    Body,
    Personality,
    add_fields,
    change_content,
    drop_refusal,
    fail_once,
)
from multifaceted.testing.personalities.writing import cut_half, tag_thoughts, think_aloud
from multifaceted.testing.problems import Problem
from multifaceted.testing.replies import Completion, number_request

_STYLES = 3  # both tags; the closing one alone; a field beside the text
_OVERLOADED = Problem(503, "The server is overloaded due to high traffic.", kind="server_error")


def _write(completion: Completion, body: Body) -> Completion:
    style = number_request(body) % _STYLES
    plain = drop_refusal(completion)
    if style == _STYLES - 1:
        thoughts = think_aloud(plain["choices"][0]["message"]["content"] or "")
        return change_content(plain, str, reasoning_content=thoughts)
    return change_content(plain, lambda text: tag_thoughts(text, opened=style == 0))


def _break_off(completion: Completion) -> Completion:
    """End as DeepSeek documents it: "interrupted due to insufficient resource of the inference system"."""
    half = change_content(completion, cut_half)
    return add_fields(half, choice={"finish_reason": "insufficient_system_resource"})


DEEPSEEK_R1 = Personality(
    name="deepseek-r1",
    summary="thoughts with a draft answer: in <think> tags, before </think> alone, or in reasoning_content",
    sources=(
        "https://github.com/vllm-project/vllm/issues/13125",
        "https://github.com/triton-inference-server/perf_analyzer/pull/433",
        "https://github.com/bespokelabsai/curator/pull/463",
        "https://api-docs.deepseek.com/api/create-chat-completion",
        "https://api-docs.deepseek.com/quick_start/error_codes",
    ),
    write=_write,
    troubles=(_break_off, fail_once(_OVERLOADED)),
    one_in=6,
    statuses={402: Problem(402, "Insufficient Balance", kind="unknown_error"), 503: _OVERLOADED},
    preamble=lambda body: "\n" * (number_request(body) % _STYLES),
)
