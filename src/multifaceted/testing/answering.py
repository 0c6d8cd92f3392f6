"""What the server says to one request: its personality, its settings and the request's fault put together.

Example:
    answering.refuse(body) or answering.settle(body, Fault())

Nothing here knows of HTTP but for the status: live requests and lines of batches are answered alike.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from multifaceted.testing.faults import Fault
from multifaceted.testing.personalities.base import Overflow, Personality
from multifaceted.testing.problems import Problem, show_page
from multifaceted.testing.replies import (
    CHARACTERS_PER_TOKEN,
    Answer,
    Completion,
    complete,
    count_prompt,
    identify_request,
    refuse_request,
)
from multifaceted.testing.spoiling import spoil

OK = 200
TOO_MANY = 429
PAGE_TITLES = {502: "Bad Gateway", 503: "Service Temporarily Unavailable", 504: "Gateway Time-out"}


class AnswerHost(Protocol):
    """The server, as far as answers are concerned; read anew for each."""

    refuse: tuple[str, ...]
    models: tuple[str, ...] | None
    context_tokens: int | None
    cached_tokens: int
    reasoning_tokens: int
    paid: Counter[str]

    @property
    def personality(self) -> Personality:
        """Return how it behaves."""
        ...


class Answering:
    """Answers for one server; remembers which requests have met their trouble.

    Args:
        host: the server; its counter of paid requests is kept here.
    """

    def __init__(self, host: AnswerHost) -> None:
        self._host = host
        self._troubled: set[str] = set()

    def show(self, problem: Problem, headers: Mapping[str, str] | None = None) -> Answer:
        """Write a problem in the personality's shape."""
        body = self._host.personality.describe(problem)
        return Answer(problem.http or problem.status, body, {**(headers or {}), **problem.headers})

    def show_status(self, ordinary: Problem, headers: Mapping[str, str]) -> Answer:
        """Write what the personality says with a status, or the ordinary problem where it says nothing."""
        known = self._host.personality.statuses.get(ordinary.status)
        return self.show(ordinary if known is None else known, headers)

    def refuse(self, body: Mapping[str, Any]) -> Answer | None:
        """Refuse a body for what it lacks, asks for or holds; None where it is answered."""
        problem = (
            refuse_request(body, self._host.refuse)
            or self._refuse_model(str(body.get("model")))
            or self._host.personality.refuse(body)
            or self._refuse_length(body)
        )
        return None if problem is None else self.show(problem)

    def settle(self, body: Mapping[str, Any], fault: Fault) -> Answer:
        """Answer a body that was not refused; what comes whole is paid for."""
        if fault.text is not None:
            return Answer(fault.status, fault.text, fault.headers)
        if fault.html:
            title = PAGE_TITLES.get(fault.status, "Error")
            return Answer(fault.status, show_page(fault.status, title), fault.headers)
        if fault.status != OK:
            return self._fail(fault)
        completion = self._write(body, fault)
        trouble = self._take_trouble(body) if fault == Fault() else None
        if trouble is not None:
            spoiled = trouble(completion)
            return self.show(spoiled) if isinstance(spoiled, Problem) else self._send(body, spoiled, fault)
        self._host.paid[identify_request(body)] += 1
        return self._send(body, spoil(completion, fault), fault)

    def _refuse_model(self, name: str) -> Problem | None:
        unknown = self._host.personality.unknown_model
        if self._host.models is None or name in self._host.models or unknown is None:
            return None
        return unknown(name)

    def _refuse_length(self, body: Mapping[str, Any]) -> Problem | None:
        overflow, limit = self._host.personality.overflow, self._host.context_tokens
        if overflow is None or limit is None:
            return None
        found = Overflow(count_prompt(body), _count_asked(body), limit)
        return overflow(found) if found.prompt + found.asked > limit else None

    def _fail(self, fault: Fault) -> Answer:
        problem = self._host.personality.statuses.get(
            fault.status, Problem(fault.status, kind="server_error")
        )
        return self.show(replace(problem, http=OK) if fault.in_200 else problem, fault.headers)

    def _write(self, body: Mapping[str, Any], fault: Fault) -> Completion:
        person = self._host.personality
        seen = {name: value for name, value in body.items() if name not in person.ignored}
        made = complete(seen, fault, cached=self._host.cached_tokens, reasoning=self._host.reasoning_tokens)
        return person.write(self._fit(body, made), body)

    def _fit(self, body: Mapping[str, Any], completion: Completion) -> Completion:
        """Cut the reply where the context ends, as servers do that refuse no length."""
        if self._host.context_tokens is None:
            return completion
        choice = completion["choices"][0]
        content = choice["message"]["content"] or ""
        room = max(1, self._host.context_tokens - count_prompt(body)) * CHARACTERS_PER_TOKEN
        if len(content) <= room:
            return completion
        message = {**choice["message"], "content": content[:room]}
        return {**completion, "choices": [{**choice, "message": message, "finish_reason": "length"}]}

    def _take_trouble(self, body: Mapping[str, Any]) -> Any:
        name = identify_request(body)
        if name in self._troubled:
            return None
        trouble = self._host.personality.choose_trouble(body)
        if trouble is not None:
            self._troubled.add(name)
        return trouble

    def _send(self, body: Mapping[str, Any], completion: Completion, fault: Fault) -> Answer:
        person = self._host.personality
        return Answer(
            OK,
            completion,
            fault.headers,
            preamble=person.preamble(body),
            events=person.events or fault.sse,
        )


def _count_asked(body: Mapping[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 0)
