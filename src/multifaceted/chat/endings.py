"""What an endpoint's `finish_reason` says of a reply: whole, cut, filtered, broken, or nothing that we know.

Example:
    classify_ending("max_tokens")      # "cut"
    classify_ending("MALFORMED")       # "unknown": counts as cut unless the recipe lists it as whole

The names are those that OpenAI, Anthropic, Cohere, DeepSeek, Gemini, Mistral, vLLM, SGLang, TGI, xAI and
Zhipu document, and that gateways hand through.
"""

import re

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
        *("image_safety", "refusal", "error_toxic"),
    ),
    "broken": (
        *("error", "failed", "failure", "abort", "aborted", "cancel", "cancelled", "canceled", "interrupted"),
        *("network_error", "server_error", "internal_error", "insufficient_system_resource", "overloaded"),
        *(
            "timeout",
            "timed_out",
            "other",
            "unspecified",
            "malformed_function_call",
            "user_cancel",
            "disconnect",
        ),
    ),
}
_BY_NAME = {name: ending for ending, names in _NAMES.items() for name in names}
_PREFIX = re.compile(r"^(?:finish_?reason[._]?)+")  # `FinishReason.STOP`, `FINISH_REASON_MAX_TOKENS`
_BETWEEN = re.compile(r"[\s\-]+")


def normalize_ending(finish_reason: str) -> str:
    """Write a finish reason as the lists of endings do: lower-case, words joined by underscores."""
    return _PREFIX.sub("", _BETWEEN.sub("_", finish_reason.strip().lower()))


def classify_ending(finish_reason: str) -> Ending:
    """Tell what a finish reason means; one that is not given counts as whole, for many servers give none."""
    name = normalize_ending(finish_reason)
    return _BY_NAME.get(name, "unknown") if name else "whole"
