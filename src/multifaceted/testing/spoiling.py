"""What a `Fault` changes of a completion that is otherwise whole, after the personality has written it.

Example:
    spoil(completion, Fault(finish_reason="error", choice_error={"code": 502, "message": "gone"}))
"""

from typing import Any

from multifaceted.testing.faults import Fault
from multifaceted.testing.replies import Completion

ABSENT = "absent"
ORDINARY = "ordinary"


def spoil(completion: Completion, fault: Fault) -> Completion:
    """Return the completion as the fault wants it; without faults, as it is."""
    choice = {**completion["choices"][0]}
    choice["message"] = _spoil_message(choice["message"], fault)
    if fault.finish_reason is not None:
        choice["finish_reason"] = fault.finish_reason
    if fault.choice_error is not None:
        choice["error"] = fault.choice_error
    return _replace_usage({**completion, "choices": [choice]}, fault.usage)


def _spoil_message(message: dict[str, Any], fault: Fault) -> dict[str, Any]:
    content = message.get("content")
    if fault.thoughts is not None:
        content = f"<think>\n{fault.thoughts}\n</think>\n\n{content}"
    if fault.parts:
        content = [{"type": "text", "text": content}]
    changed = {**message, "content": content} if fault.thoughts is not None or fault.parts else message
    return changed if fault.reasoning is None else {**changed, "reasoning_content": fault.reasoning}


def _replace_usage(completion: Completion, usage: Any) -> Completion:
    if usage == ORDINARY:
        return completion
    rest = {name: value for name, value in completion.items() if name != "usage"}
    return rest if usage == ABSENT else {**rest, "usage": usage}
