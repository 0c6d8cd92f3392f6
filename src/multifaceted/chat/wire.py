"""How one endpoint wants its requests written: `WireForm().body(request)` is a chat-completions body.

Example:
    form = WireForm().changed(Change("drop", "seed"))
    form.body(request)                     # without a seed

Endpoints differ in small ways: reasoning models want `max_completion_tokens` and refuse `temperature`, some
servers know no `seed`, no `json_schema` or no system role. The request keeps its key however it is written.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from multifaceted.records import Message, Request

_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")  # in the name of a schema, of which OpenAI takes so many characters:
MAX_NAME = 64
NEWER_NAME = "max_completion_tokens"  # of max_tokens
JSON_WORD = "Answer in JSON."
BETWEEN = "\n\n"  # what stands between two messages that are sent as one


@dataclass(frozen=True)
class Change:
    """One way in which a request is written differently.

    Args:
        kind: `drop` a parameter; `rename` max_tokens; `limit` it; `format`: ask for JSON in a weaker way;
            `loosen`: send the schema without `strict`; `fold` the system message into the first user turn;
            `say_json`: add a sentence, where JSON mode wants the word.
        name: the parameter, or the label whose JSON is asked for differently.
        value: the new name, number or way.
        lasts: whether it goes for other requests too.
    """

    kind: Literal["drop", "rename", "limit", "format", "loosen", "fold", "say_json"]
    name: str = ""
    value: str | int = ""
    lasts: bool = True

    def describe(self) -> str:
        """Return how requests are sent with it, for people."""
        return {
            "drop": f"without {self.name}",
            "rename": f"with max_tokens under the name of {self.value}",
            "limit": f"with no more than {self.value} tokens asked for: a reply may be cut there",
            "format": f"with structured_output {self.value!r}, those of {self.name}",
            "loosen": "with a schema that is not strict",
            "fold": "with the system message at the beginning of the first user turn",
            "say_json": f"with the words {JSON_WORD!r} at the end, where they want JSON",
        }[self.kind]


@dataclass(frozen=True)
class WireForm:
    """How an endpoint and model want requests written."""

    dropped: frozenset[str] = frozenset()
    max_tokens_name: str = "max_tokens"
    most_tokens: int | None = None  # for a reply; None: what the recipe says
    formats: Mapping[str, str] = field(default_factory=dict)  # label → weaker way than the recipe's
    strict: bool = True
    folds_system: bool = False
    says_json: bool = False

    def changed(self, change: Change) -> "WireForm":
        """Return the form with one change more."""
        given: dict[str, Any] = {}
        match change.kind:
            case "drop":
                given["dropped"] = self.dropped | {change.name}
            case "rename":
                given["max_tokens_name"] = change.value
            case "limit":
                given["most_tokens"] = self.fit(int(change.value))
            case "format":
                given["formats"] = {**self.formats, change.name: change.value}
            case "loosen":
                given["strict"] = False
            case "fold":
                given["folds_system"] = True
            case "say_json":
                given["says_json"] = True
        return replace(self, **given)

    def body(self, request: Request) -> dict[str, Any]:
        """Return the request as a chat-completions body for this endpoint."""
        parameters = dict(request.parameters)
        extra = parameters.pop("extra_body", {})
        turns = fold_system(request.messages) if self.folds_system else request.messages
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        }
        for name, value in parameters.items():
            if name == "max_tokens":
                body[self.max_tokens_name] = self.fit(value)
            elif name not in self.dropped:
                body[name] = value
        if request.schema is not None:
            body |= self._response_format(request)
        if self.says_json and body.get("response_format", {}).get("type") == "json_object":
            last = body["messages"][-1]
            last["content"] = f"{last['content']}{BETWEEN}{JSON_WORD}"
        return {**body, **extra}

    def fit(self, max_tokens: int) -> int:
        """Return the `max_tokens` that is sent where the recipe asks for so many."""
        return max_tokens if self.most_tokens is None else min(max_tokens, self.most_tokens)

    def _response_format(self, request: Request) -> dict[str, Any]:
        mode = self.formats.get(request.label) or request.structured_output
        if mode == "json_schema":
            name = _UNFIT.sub("_", request.label)[:MAX_NAME]
            schema = {"name": name, "schema": request.schema}
            strict = {"strict": True} if self.strict else {}
            return {"response_format": {"type": "json_schema", "json_schema": {**strict, **schema}}}
        return {"response_format": {"type": "json_object"}} if mode == "json_object" else {}


def fold_system(turns: Sequence[Message]) -> list[Message]:
    """The turns without a system role: its text opens the first user turn, after which roles alternate."""
    folded: list[Message] = []
    for turn in turns:
        role: Literal["user", "assistant"] = "assistant" if turn.role == "assistant" else "user"
        if folded and folded[-1].role == role:
            folded[-1] = Message(role, f"{folded[-1].content}{BETWEEN}{turn.content}")
        else:
            folded.append(Message(role, turn.content))
    return folded
