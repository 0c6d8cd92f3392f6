"""What an endpoint's `finish_reason` says of a reply: whole, cut, filtered, broken, or nothing that we know.

Example:
    classify_ending("max_tokens")      # "cut"
    classify_ending("MALFORMED")       # "unknown": counts as cut unless the recipe lists it as whole

The names are those that OpenAI, Anthropic, Cohere, DeepSeek, Gemini, Mistral, vLLM, SGLang, TGI, xAI and
Zhipu document, and that gateways hand through.
"""

import re
from collections.abc import Mapping
from typing import Any

from multifaceted.records import Ending

_NAMES: dict[Ending, tuple[str, ...]] = {
    "whole": (
        *(
            "stop",
            "stop_sequence",
            "end_turn",
            "end",
            "eos",
            "eos_token",
            "eos_token_id",
            "complete",
            "completed",
        ),
        *(
            "finish",
            "stop_token",
            "stop_word",
            "eos_found",
            "stop_string_found",
            "stopped",
            "stop_str",
            "word",
        ),
        # Beside the call of a tool stands a text; some servers make structured output by one.
        *("finished", "done", "tool_calls", "tool_call", "tool_use", "function_call"),
    ),
    "cut": (
        *(
            "length",
            "max_tokens",
            "max_length",
            "max_output_tokens",
            "max_new_tokens",
            "max_completion_tokens",
        ),
        *("max_len", "max_context", "max_predicted_tokens_reached", "max_tokens_reached", "error_limit"),
        *("context_length_reached", "context_window_exceeded", "context_limit", "not_finished", "time_limit"),
        *("max_output_tokens_reached", "length_exceeded", "max_new_tokens_reached"),
        *(
            "token_limit",
            "length_limit",
            "limit",
            "model_length",
            "context_length",
            "context_length_exceeded",
        ),
        *("model_context_window_exceeded", "incomplete", "truncated", "length_capped", "out_of_tokens"),
    ),
    "filtered": (
        *("content_filter", "content_filtered", "content_filter_error", "safety", "recitation", "blocklist"),
        *(
            "prohibited_content",
            "spii",
            "sensitive",
            "moderation",
            "guardrail_intervened",
            "flagged",
            "blocked",
        ),
        *(
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
            "refusal",
            "error_toxic",
            "language",
        ),
        *(
            "content_policy_violation",
            "content_blocked",
            "guardrail",
            "guardrails",
            "safety_filter",
            "jailbreak",
        ),
    ),
    "broken": (
        *("error", "failed", "failure", "abort", "aborted", "cancel", "cancelled", "canceled", "interrupted"),
        *("network_error", "server_error", "internal_error", "insufficient_system_resource", "overloaded"),
        *(
            "timeout",
            "timed_out",
            "other",
            "unspecified",
            "unknown_error",
            "malformed_function_call",
            "user_cancel",
            "disconnect",
            "disconnected",
        ),
        *("malformed_response", "malformed_model_output", "malformed_tool_use", "malformed_tool_call"),
        *("unexpected_tool_call", "too_many_tool_calls", "missing_thought_signature", "pause_turn"),
        *("user_stopped", "model_unloaded", "unload", "load", "engine_error", "preempted", "stream_error"),
        *("upstream_error", "provider_error", "rate_limit", "connection_error", "insufficient_quota"),
    ),
}
_BY_NAME = {name: ending for ending, names in _NAMES.items() for name in names}
# `FinishReason.STOP`, `FINISH_REASON_MAX_TOKENS`, xAI's `REASON_MAX_LEN`, `StopReason.end_turn`
_PREFIX = re.compile(r"^(?:(?:(?:finish|stop)_?)?reason[._]?)+(?=.)")
_BETWEEN = re.compile(r"[\s\-]+|(?<=[a-z])(?=[A-Z])")  # LM Studio's `maxPredictedTokensReached`
_NOT_GIVEN = ("null", "none", "nil", "undefined", "")  # DashScope writes "null"


def normalize_ending(finish_reason: str) -> str:
    """Write a finish reason as the lists of endings do: lower-case, words joined by underscores."""
    return _PREFIX.sub("", _BETWEEN.sub("_", finish_reason.strip()).lower())


def read_finish_reason(value: Any) -> str:
    """Read a finish reason: a word, or an object that has one; "" where there is none."""
    if isinstance(value, Mapping):  # SGLang's own: {"type": "length", "length": 100}
        value = next((value[name] for name in ("type", "reason", "finish_reason") if value.get(name)), None)
    word = "" if value is None or isinstance(value, bool | list | dict) else str(value).strip()
    return "" if word.lower() in _NOT_GIVEN else word


def classify_ending(finish_reason: str) -> Ending:
    """Tell what a finish reason means; one that is not given counts as whole, for many servers give none."""
    name = normalize_ending(finish_reason)
    return _BY_NAME.get(name, "unknown") if name else "whole"
