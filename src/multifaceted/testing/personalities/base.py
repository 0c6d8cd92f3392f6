"""What a personality is made of: one frozen value that says how an endpoint writes, refuses and fails.

Example:
    EXAMPLE = Personality(
        name="example",
        summary="refuses `seed`",
        sources=("https://example.com/issues/1",),
        refusals=(refuse_parameter("seed", "seed is not supported"),),
    )

A personality is pure: what it does depends on the request's body, and on whether it is the first attempt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from multifaceted.testing.problems import Problem, describe_openai
from multifaceted.testing.replies import Completion, number_request

Body = Mapping[str, Any]
Refusal = Callable[[Body], Problem | None]
Trouble = Callable[[Completion], Completion | Problem]


class Overflow(NamedTuple):
    """A request that does not fit the context, in tokens."""

    prompt: int
    asked: int  # `max_tokens` of the request
    limit: int


def keep(completion: Completion, _: Body) -> Completion:
    """Write the ordinary completion as it is."""
    return completion


def say_nothing(_: Body) -> str:
    """Put nothing before the body."""
    return ""


def refuse_bearer(key: str) -> Problem:
    """Refuse a key as OpenAI does, which repeats it."""
    return Problem(401, f"Incorrect API key provided: Bearer {key}", code="invalid_api_key")


def miss_model(name: str) -> Problem | None:
    """Refuse a model as OpenAI does."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return Problem(404, message, code="model_not_found")


def refuse_overflow(overflow: Overflow) -> Problem | None:
    """Refuse a request that is too long as OpenAI does."""
    message = (
        f"This model's maximum context length is {overflow.limit} tokens. However, you requested "
        f"{overflow.prompt + overflow.asked} tokens ({overflow.prompt} in the messages, {overflow.asked} in "
        "the completion). Please reduce the length of the messages or completion."
    )
    return Problem(400, message, code="context_length_exceeded", param="messages")


@dataclass(frozen=True, slots=True)
class Personality:
    """How one kind of endpoint behaves.

    Args:
        name: what `ChatServer(like=…)` takes.
        summary: one line: what is odd about it.
        sources: addresses of the documents and public threads that say so.
        write: turns the ordinary completion into one of this endpoint.
        describe: the body of an error.
        wrong_key: for the key that came; None where no key is looked at.
        unknown_model: for the name that came; None where any name is answered.
        overflow: for a request beyond the context; None where it is answered, and cut.
        wrong_path: for the method and path of a request that nothing serves.
        refusals: asked in order, before anything is answered.
        troubles: what goes wrong at the first attempt with one request in `one_in`, by turns.
        one_in: see `troubles`.
        ignored: parameters that are taken and have no effect.
        statuses: what it says with an HTTP status, such as 402, 429 or 503; nothing special for others.
        preamble: what it sends before a JSON body, to keep the connection alive.
        events: it answers with server-sent events, whatever was asked for.
    """

    name: str
    summary: str
    sources: tuple[str, ...]
    write: Callable[[Completion, Body], Completion] = keep
    describe: Callable[[Problem], Any] = describe_openai
    wrong_key: Callable[[str], Problem] | None = refuse_bearer
    unknown_model: Callable[[str], Problem | None] | None = miss_model
    overflow: Callable[[Overflow], Problem | None] | None = refuse_overflow
    wrong_path: Callable[[str, str], Problem] | None = None
    refusals: tuple[Refusal, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    one_in: int = 4
    ignored: frozenset[str] = frozenset()
    statuses: Mapping[int, Problem] = field(default_factory=dict)
    preamble: Callable[[Body], str] = say_nothing
    events: bool = False

    def refuse(self, body: Body) -> Problem | None:
        """Return the first refusal of this body."""
        found = (refusal(body) for refusal in self.refusals)
        return next((problem for problem in found if problem is not None), None)

    def choose_trouble(self, body: Body) -> Trouble | None:
        """Return what goes wrong with this request the first time; None for most."""
        number = number_request(body)
        if not self.troubles or number % self.one_in:
            return None
        return self.troubles[number // self.one_in % len(self.troubles)]


def miss_path(method: str, path: str) -> Problem:
    """Refuse a path or a method as FastAPI does by itself."""
    if method != "POST" and path.endswith("/chat/completions"):
        return Problem(405, "Method Not Allowed")
    return Problem(404, "Not Found")


def refuse_parameter(name: str, message: str, *, status: int = 400, **fields: Any) -> Refusal:
    """Refuse a parameter by its name; `fields` are those of `Problem`."""
    problem = Problem(status, message, param=name, **fields)
    return lambda body: problem if name in body else None


def refuse_format(kind: str, problem: Problem) -> Refusal:
    """Refuse a response format by its type: `json_schema` or `json_object`."""
    return lambda body: problem if asked_format(body) == kind else None


def refuse_system(problem: Problem) -> Refusal:
    """Refuse the system role where the model's name tells a chat template without one: Gemma's."""
    return lambda body: problem if _is_gemma(body) and _has_system(body) else None


def asked_format(body: Body) -> str:
    """Return the type of the response format that a body asks for; none is empty."""
    return str((body.get("response_format") or {}).get("type", ""))


def fail_once(problem: Problem) -> Trouble:
    """Answer with an error instead of the completion."""
    return lambda _: problem


def change_content(completion: Completion, change: Callable[[str], Any], **fields: Any) -> Completion:
    """Return the completion with its text changed, and `fields` added to its message."""
    choice = completion["choices"][0]
    content = choice["message"]["content"]
    changed = content if content is None else change(content)
    message = {**choice["message"], "content": changed, **fields}
    return {**completion, "choices": [{**choice, "message": message}]}


def add_fields(
    completion: Completion,
    *,
    choice: Mapping[str, Any] | None = None,
    message: Mapping[str, Any] | None = None,
    **top: Any,
) -> Completion:
    """Return the completion with fields added to it, to its choice and to its message."""
    first = completion["choices"][0]
    made = {**first, **(choice or {}), "message": {**first["message"], **(message or {})}}
    return {**completion, **top, "choices": [made]}


def drop_refusal(completion: Completion) -> Completion:
    """Return the completion without OpenAI's `refusal`, which most other servers do not know."""
    choice = completion["choices"][0]
    message = {name: value for name, value in choice["message"].items() if name != "refusal" or value}
    return {**completion, "choices": [{**choice, "message": message}]}


def _is_gemma(body: Body) -> bool:
    return "gemma" in str(body.get("model", "")).lower()


def _has_system(body: Body) -> bool:
    return any(message.get("role") == "system" for message in body.get("messages", []))
