"""What an endpoint has shown of how it wants requests written, and one request finding its way.

Example:
    capabilities = Capabilities("http://127.0.0.1:8000/v1", "some-model")
    attempt = Attempt(capabilities, request)
    attempt.body                           # send it; refused?
    attempt.rewrite(400, text)             # True: send `attempt.body` again
    attempt.succeed()                      # what helped is remembered, and said once

A guess that does not help is taken back, and is not made again for the same words. So a wrong one costs a
request that is refused too, and refused requests cost nothing.
"""

import logging
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from multifaceted.chat.adjustments import find_changes, has_system, name_own, says_json, still_names
from multifaceted.chat.refusal import Refusal, read_refusal
from multifaceted.chat.wire import Change, WireForm
from multifaceted.models import Model
from multifaceted.records import Message, Request

logger = logging.getLogger(__name__)

MAX_REWRITES = 16  # of one request; there are fewer things than this to learn of an endpoint
MAX_FAILED_CHANGES = 1000  # guesses that are remembered as such
# Said of the key, the account, the pace or a race, and not of how a request is written.
_OTHER_STATUSES = (401, 402, 407, 408, 409, 425, 429)
_SHORTEST_ECHO = 12  # characters of a prompt that are an echo where they stand in an error
# A server that stumbles says 500 too, and may get over it by itself: one success proves nothing.
_PROOFS_OF_500 = 2


@dataclass
class Capabilities:
    """What has been learned of one endpoint and model in this session."""

    endpoint: str
    model: str
    form: WireForm = field(default_factory=WireForm)
    accepted: set[str] = field(default_factory=set)  # what requests held that were answered
    failed_changes: set[tuple[tuple[int, str], Change]] = field(default_factory=set)  # did not help
    _proofs: dict[Change, int] = field(default_factory=dict)
    _logged: set[Change] = field(default_factory=set)

    def keep(self, change: Change, *, proofs: int) -> None:
        """Remember what helped, unless others pass without it: then it was about that one request."""
        if not change.lasts or self.form.changed(change) == self.form:
            return
        self._proofs[change] = self._proofs.get(change, 0) + 1
        if self.shows_needless(change):
            self._log(change, "refuses some requests; these are sent")
        elif self._proofs[change] >= proofs:
            self.form = self.form.changed(change)
            self._log(change, "refuses how requests are written; from now on they are sent")

    def shows_needless(self, change: Change) -> bool:
        """Return whether a request was answered though it held what the change takes away."""
        return not self.accepted.isdisjoint(_list_before(change))

    def _log(self, change: Change, what: str) -> None:
        if change not in self._logged:
            self._logged.add(change)
            logger.warning("%s (%s) %s %s", self.endpoint, self.model, what, change.describe())


class Attempt:
    """One request on its way; its changes are its own until it is answered."""

    def __init__(self, capabilities: Capabilities, request: Request) -> None:
        self._capabilities = capabilities
        self._request = request
        self._hide = list_echoes(request)
        self._changes: list[Change] = []
        self._tried: set[Change] = set()
        self._last: tuple[int, str] | None = None  # status and words of the last refusal
        self._guess: Change | None = None  # the newest change, of which nothing is known
        self._taken_back: list[Change] = []
        self._proofs = 1
        self.refusal: Refusal | None = None
        self.body: dict[str, Any] = self._form.body(request)
        self._sent = [self.body]

    @property
    def max_tokens(self) -> int | None:
        """Return the `max_tokens` that is sent, which may be fewer than the recipe says."""
        wanted = self._request.max_tokens
        return None if wanted is None else self._form.fit(wanted)

    def rewrite(self, status: int, text: str) -> bool:
        """Take in a refusal; true where `body` is written differently now and is worth sending again."""
        self.refusal = refusal = read_refusal(text, hide=self._hide)
        if not is_about_writing(status) or len(self._tried) >= MAX_REWRITES:
            return False
        if self._guess is None and self._write():  # learned in the meantime, by another request
            return True
        words = status, refusal.cause
        if self._guess is not None and (words == self._last or still_names(refusal, self._guess)):
            self._take_back(self._guess, words)
        self._last, self._guess = words, None
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._proofs = _PROOFS_OF_500
        for change in find_changes(refusal, self._request, self.body):
            if self._is_worth_trying(change, words):
                self._tried.add(change)
                self._changes.append(change)
                self._guess = change
                if self._write():
                    return True
                self._changes.remove(change)
        return self._go_without_all()

    def succeed(self) -> None:
        """It was answered: what helped is remembered."""
        for change in self._changes:
            self._capabilities.keep(change, proofs=self._proofs)
        self._capabilities.accepted |= _list_features(self.body, self._request.label)

    def name_own(self) -> list[str]:
        """Return the keys of the recipe's `extra_body` that the last refusal names."""
        return [] if self.refusal is None else name_own(self.refusal, self._request)

    def describe_refusal(self, status: int) -> str:
        """What the last refusal has in common with others of its cause; empty where it is this row's own."""
        refusal = self.refusal
        return "" if refusal is None or refusal.is_too_long else f"{status} {refusal.cause}"

    @property
    def _form(self) -> WireForm:
        form = self._capabilities.form
        for change in self._changes:
            form = form.changed(change)
        return form

    def _write(self) -> bool:
        """Write the body anew; whether it is one that was not refused already."""
        body = self._form.body(self._request)
        if body in self._sent:
            return False
        self._sent.append(body)
        self.body = body
        return True

    def _is_worth_trying(self, change: Change, words: tuple[int, str]) -> bool:
        if change in self._tried or (words, change) in self._capabilities.failed_changes:
            return False
        stumbled = words[0] >= HTTPStatus.INTERNAL_SERVER_ERROR
        return not (stumbled and self._capabilities.shows_needless(change))

    def _take_back(self, guess: Change, words: tuple[int, str]) -> None:
        """What was said before the last guess is said again: it did not help, at least not alone."""
        self._changes.remove(guess)
        self._taken_back.append(guess)
        if guess.lasts and len(self._capabilities.failed_changes) < MAX_FAILED_CHANGES:
            self._capabilities.failed_changes.add((words, guess))

    def _go_without_all(self) -> bool:
        """Where no guess helped alone, several parameters may be unwelcome, and all are named each time."""
        self._changes += [guess for guess in self._taken_back if guess.kind == "drop"]
        self._taken_back.clear()
        return self._write()


def list_echoes(request: Request) -> list[str]:
    """Return what an error may repeat of a request."""
    contents = (message.content for message in request.messages)
    return [request.model, *(content for content in contents if len(content) >= _SHORTEST_ECHO)]


def is_about_writing(status: int) -> bool:
    """Return whether an answer of this status may be about how the request is written."""
    if status in (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.NOT_IMPLEMENTED):
        return True
    return (
        HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _OTHER_STATUSES
    )


def learn_from_line(
    form: WireForm, text: str, body: dict[str, Any], *, label: str, model: Model
) -> Change | None:
    """Return what the refusal of a batch's line tells that its request did not heed; None where nothing.

    Args:
        form: how the request was written.
        text: the body of the refusal.
        body: of the request.
        label: who asked.
        model: as the recipe describes it.
    """
    turns = tuple(Message(message["role"], message["content"]) for message in body["messages"])
    request = Request(label, "", body["model"], turns, model.parameters(0), stated=model.stated)
    refusal = read_refusal(text, hide=list_echoes(request))
    found = (change for change in find_changes(refusal, request, body) if change.lasts)
    return next((change for change in found if form.changed(change) != form), None)


def _list_before(change: Change) -> list[str]:
    """What requests may hold before a change and not after it, any one of which shows that it can be sent."""
    match change.kind:
        case "format":
            stronger = ["json_schema"] if change.value == "json_object" else ["json_schema", "json_object"]
            return [f"{way} of {change.name}" for way in stronger]
        case "loosen":
            return ["strict schema"]
        case "say_json":
            return ["json_object without the word"]
        case "limit":
            return []
    return [change.name]


def _list_features(body: dict[str, Any], label: str) -> set[str]:
    features: set[str] = {name for name in ("temperature", "top_p", "seed", "max_tokens") if name in body}
    asked = body.get("response_format")
    if isinstance(asked, dict):
        features.add(f"{asked.get('type')} of {label}")
        schema = asked.get("json_schema")
        if isinstance(schema, dict) and schema.get("strict"):
            features.add("strict schema")
        if asked.get("type") == "json_object" and not says_json(body):
            features.add("json_object without the word")
    if has_system(body):
        features.add("system")
    return features
