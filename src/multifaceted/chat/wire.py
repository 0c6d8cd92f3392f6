"""How one endpoint wants its requests written, learned from its refusals.

    form = WireForm()
    form.body(request)                                     # a chat-completions body
    form.learn("Unsupported parameter: 'max_tokens' …")    # True: written differently from now on

Endpoints differ in small ways: reasoning models want `max_completion_tokens` and refuse `temperature`,
some servers know no `seed` or no `json_schema`. The request keeps its key however it is written.
"""

import logging
import re
from dataclasses import dataclass, field
from typing import Any

from multifaceted.records import Request

logger = logging.getLogger(__name__)

# A refusal must say that the parameter itself is unwelcome; "temperature must be at most 2" is no such word.
_REFUSAL = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|only the default|deprecated"
    r"|not (?:permitted|allowed|available|implemented)|extra (?:inputs|fields)|no longer|invalid parameter",
    re.IGNORECASE,
)
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")  # in the name of a schema, of which OpenAI takes so many characters:
MAX_NAME = 64
_DROPPABLE = ("temperature", "top_p", "seed")
_WEAKER = {"json_schema": "json_object", "json_object": "prompt"}


@dataclass
class WireForm:
    """What has been learned of one endpoint and model in this session."""

    dropped: set[str] = field(default_factory=set)
    max_tokens_name: str = "max_tokens"
    structured_output: str = ""  # weaker than the recipe's, where the endpoint refused that

    def body(self, request: Request) -> dict[str, Any]:
        """The request as a chat-completions body for this endpoint."""
        parameters = dict(request.parameters)
        extra = parameters.pop("extra_body", {})
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
        }
        for name, value in parameters.items():
            if name not in self.dropped:
                body[self.max_tokens_name if name == "max_tokens" else name] = value
        if request.schema is not None:
            body |= self._response_format(request)
        return {**body, **extra}

    def learn(self, message: str, body: dict[str, Any]) -> bool:
        """Read a refusal of `body`; true where the request is worth sending again, written differently."""
        if not _REFUSAL.search(message):
            return False
        if "max_tokens" in body and "max_completion_tokens" in message:
            self._adopt("max_tokens_name", "max_completion_tokens", "max_tokens under its newer name")
            return True
        for name in _DROPPABLE:
            if name in body and re.search(rf"\b{name}\b", message):
                if name not in self.dropped:
                    logger.warning("the endpoint refuses %r; requests go without it", name)
                self.dropped.add(name)
                return True
        sent = body.get("response_format", {}).get("type")
        if sent in _WEAKER and re.search(r"response_format|json_schema|json_object|guided|grammar", message):
            weaker = _WEAKER[sent]
            if self.structured_output != "prompt":  # refusals may come late, and must not lead back
                self._adopt("structured_output", weaker, f"JSON asked for by {weaker!r}, not {sent!r}")
            return True
        return False

    def _adopt(self, name: str, value: str, what: str) -> None:
        if getattr(self, name) != value:
            logger.warning("the endpoint wants %s", what)
            setattr(self, name, value)

    def _response_format(self, request: Request) -> dict[str, Any]:
        mode = self.structured_output or request.structured_output
        if mode == "json_schema":
            name = _UNFIT.sub("_", request.label)[:MAX_NAME]
            schema = {"name": name, "strict": True, "schema": request.schema}
            return {"response_format": {"type": "json_schema", "json_schema": schema}}
        return {"response_format": {"type": "json_object"}} if mode == "json_object" else {}
