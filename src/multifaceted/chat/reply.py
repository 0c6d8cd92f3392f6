"""Reading the raw body of a chat completion: `read_reply(key, body).text`.

Only the text is essential. Content in parts, usage as strings, a stream of events, an error beside the text:
whatever an endpoint leaves out, or writes in another way, makes no reply that was paid for worthless.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from multifaceted.chat.endings import classify_ending, normalize_ending, read_finish_reason
from multifaceted.chat.error_body import find_error
from multifaceted.chat.events import read_body
from multifaceted.chat.reasoning import split_reasoning
from multifaceted.chat.tokens import Tokens, read_tokens
from multifaceted.credentials import blot
from multifaceted.records import Reply

LONGEST_REASON = 100  # characters of a finish reason, which stands in messages
# Where endpoints put the thoughts that they tell apart themselves; several may hold the same.
_REASONING = ("reasoning_content", "reasoning", "thinking", "thoughts")
_FINISH_REASONS = ("finish_reason", "native_finish_reason", "done_reason", "stop_reason")


class _Content(NamedTuple):
    text: str
    reasoning: str = ""


def read_reply(
    key: str,
    body: str,
    *,
    max_tokens: int | None = None,
    whole_endings: Collection[str] = (),
    inline_reasoning: bool = False,
) -> Reply | None:
    """Read a response body.

    Args:
        key: of the request.
        body: as it came.
        max_tokens: that the request allowed.
        whole_endings: finish reasons of whole replies, beside those that are known.
        inline_reasoning: leave thoughts in the text, where the model wrote them.

    Returns:
        The reply, or None where the body is not a chat completion, whatever its HTTP status said.
    """
    data = read_body(body)
    choice = _find_choice(data) if data is not None else None
    if data is None or choice is None:
        return None
    message = _find_message(choice)
    content, tokens = _read_content(message.get("content")), _read_usage(data)
    thoughts, text = ("", content.text) if inline_reasoning else split_reasoning(content.text)
    finish_reason = _find_finish_reason(choice)[:LONGEST_REASON]
    ending = classify_ending(finish_reason)
    if find_error(data) is not None:
        ending = "broken"
    elif finish_reason in whole_endings:
        ending = "whole"
    elif not finish_reason and max_tokens is not None and (tokens.completion or 0) >= max_tokens:
        ending = "cut"
    return Reply(
        key=key,
        text=blot(text),  # pieces of a stream are joined only here
        finish_reason=finish_reason,
        refusal=blot(_read_refusal(message, finish_reason, text)),
        model=blot(_to_text(data.get("model"))),
        prompt_tokens=tokens.prompt or 0,
        completion_tokens=tokens.completion or 0,
        cached_tokens=tokens.cached,
        reasoning_tokens=tokens.reasoning,
        reasoning=blot("\n\n".join(filter(None, (_find_reasoning(message) or content.reasoning, thoughts)))),
        ending=ending,
        is_counted=_is_counted(tokens, text),
    )


def count_tokens(body: str) -> Tokens:
    """Count what a body was paid for that holds no reply."""
    data = read_body(body)
    return Tokens() if data is None else _read_usage(data)


def _read_usage(data: Mapping[str, Any]) -> Tokens:
    return read_tokens(data if "eval_count" in data else data.get("usage"))  # Ollama's own has no usage


def _find_finish_reason(choice: Mapping[str, Any]) -> str:
    given = (read_finish_reason(choice.get(name)) for name in _FINISH_REASONS)
    reason = next(filter(None, given), "disconnect" if choice.get("done") is False else "")
    native = read_finish_reason(choice.get("native_finish_reason"))
    # A gateway may call whole what its provider cut or filtered
    is_worse = classify_ending(reason) == "whole" and classify_ending(native) in ("cut", "filtered")
    return native if is_worse else reason


def _find_choice(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first choice, as far as it holds a message; some servers give the message without choices."""
    if "choices" not in data:
        if data.get("role") == "assistant" and "content" in data:  # Anthropic's own
            return {"message": data, "finish_reason": data.get("stop_reason")}
        return data if isinstance(data.get("message"), Mapping) else None
    choices = data["choices"]
    choice = choices[0] if isinstance(choices, list) and choices else choices
    return choice if isinstance(choice, Mapping) and _find_message(choice) else None


def _find_message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of a choice; empty where it has none. `text` is that of the older completions API."""
    for found in (choice.get("message"), choice.get("delta")):
        if isinstance(found, Mapping):
            return found or {"content": None}
        if isinstance(found, str):
            return {"content": found}
    return {"content": choice["text"]} if isinstance(choice.get("text"), str) else {}


def _read_content(content: Any) -> _Content:
    """The text of a content: a string, parts of which some hold thoughts, or JSON that was read already."""
    if isinstance(content, str):
        return _Content(content)
    if isinstance(content, Mapping) and "type" not in content and "text" not in content:
        return _Content(json.dumps(content, ensure_ascii=False))
    parts = content if isinstance(content, list) else [content]
    read = [_read_part(part) for part in parts]
    return _Content(
        "".join(part.text for part in read), "\n\n".join(p.reasoning for p in read if p.reasoning)
    )


def _read_part(part: Any) -> _Content:
    if not isinstance(part, Mapping):
        return _Content(_to_text(part))
    kind = "thought" if part.get("thought") is True else str(part.get("type"))  # Gemini marks a text so
    if any(name in kind for name in ("thinking", "reasoning", "thought")):
        found = next(
            (part[name] for name in ("thinking", "reasoning", "text", "summary") if part.get(name)), ""
        )
        return _Content("", found if isinstance(found, str) else _read_content(found).text)
    text = part.get("text")  # which is an object with a value in the Assistants API
    return _Content(_to_text(text.get("value") if isinstance(text, Mapping) else text))


def _find_reasoning(message: Mapping[str, Any]) -> str:
    for name in _REASONING:
        found = message.get(name)
        if isinstance(found, str) and found.strip():
            return found
    details = message.get("reasoning_details")
    parts = details if isinstance(details, list) else []
    return _read_content([{**p, "type": "reasoning"} for p in parts if isinstance(p, Mapping)]).reasoning


def _read_refusal(message: Mapping[str, Any], finish_reason: str, text: str) -> str:
    refusal = _to_text(message.get("refusal"))
    return refusal or (text or "the model declined" if normalize_ending(finish_reason) == "refusal" else "")


def _is_counted(tokens: Tokens, text: str) -> bool:
    """Return whether it is known how many tokens there were: a prompt takes some, and so does a text."""
    return bool(tokens.prompt) and tokens.completion is not None and bool(tokens.completion or not text)


def _to_text(value: Any) -> str:
    """Return a text, or a number as one; "" for everything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if isinstance(value, str) else str(value) if is_number else ""
