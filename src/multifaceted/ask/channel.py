"""One request of a customer from its prompt to its value: asked, read, and repaired once where it is invalid.

Example:
    exchange = await channel.ask(request, read=parse_text, repair=prompts.repair)
    exchange.value, exchange.key
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from multifaceted.ask.asker import Asks
from multifaceted.errors import EndpointError, FailureKind, FatalEndpointError
from multifaceted.journal import Journal
from multifaceted.prompts.reply import ReplyError
from multifaceted.prompts.template import Template, ask_again
from multifaceted.records import Reply, Request

ValueT = TypeVar("ValueT")


class MissingReply(Exception):  # noqa: N818 - no error: it is how a customer says what it needs
    """The next requests have no reply yet."""

    def __init__(self, requests: Sequence[Request]) -> None:
        super().__init__(*(request.key for request in requests))
        self.requests = requests


class NoReplyError(Exception):
    """A request brought nothing that can be used; `retryable` where asking again may help."""

    def __init__(
        self,
        request: Request,
        kind: FailureKind,
        message: str,
        *,
        retryable: bool = False,
        cut_at: int | None = None,
    ) -> None:
        super().__init__(message)
        self.request = request
        self.kind = kind
        self.message = message
        self.retryable = retryable
        self.cut_at = cut_at  # the `max_tokens` that cut the reply


@dataclass(frozen=True, slots=True)
class Exchange(Generic[ValueT]):
    """What a request came to."""

    value: ValueT
    key: str  # of the request whose reply was read: that of the repair turn where there was one
    replies: tuple[Reply, ...]


@dataclass(frozen=True, slots=True)
class Channel:
    """Where a customer asks, and the journal that keeps its replies."""

    asks: Asks
    journal: Journal

    async def ask(
        self, request: Request, *, read: Callable[[str], ValueT], repair: Template
    ) -> Exchange[ValueT]:
        """Ask, read the reply, and ask once more, by the template `repair`, where it is invalid.

        Raises:
            NoReplyError: where nothing came that can be used.
            MissingReply: where nothing was sent, and nothing is there.
            FatalEndpointError, StorageError, InterruptedRunError: what stops the whole run.
        """
        reply = await self._fetch(request)
        try:
            return Exchange(read(reply.text), request.key, (reply,))
        except ReplyError as fault:
            turns = ask_again(repair, request.messages, reply.text, fault.problems)
            again = replace(request, messages=turns)
        repaired = await self._fetch(again)
        try:
            return Exchange(read(repaired.text), again.key, (reply, repaired))
        except ReplyError as still:
            raise NoReplyError(again, "invalid_reply", str(still)) from still

    async def _fetch(self, request: Request) -> Reply:
        """Return the reply, where it is complete."""
        try:
            reply = await self.asks.ask(request, self.journal)
        except FatalEndpointError:
            raise
        except EndpointError as error:
            raise NoReplyError(request, error.kind, error.message, retryable=error.retryable) from error
        if reply.ending == "unknown":
            self.asks.control.tell_once(
                f"{request.model}: replies that end with finish_reason {reply.finish_reason!r} count as cut; "
                "if they are whole, list it as whole_endings of the model in the recipe"
            )
        fault = _find_fault(reply)
        if fault is not None:
            raise NoReplyError(request, *fault, cut_at=request.max_tokens if reply.is_cut else None)
        return reply


async def finish_all(asked: Sequence[Coroutine[Any, Any, ValueT]]) -> list[ValueT]:
    """Ask at once, and let each come in whatever becomes of the others: it is paid for.

    Of several faults the one is raised that weighs most: what stops the run, then what is still missing,
    then what asking again would not mend.
    """
    if len(asked) == 1:
        return [await asked[0]]
    results = await asyncio.gather(*asked, return_exceptions=True)
    faults = [result for result in results if isinstance(result, BaseException)]
    for fault in faults:
        if not isinstance(fault, (MissingReply, NoReplyError)):
            raise fault
    missing = [request for fault in faults if isinstance(fault, MissingReply) for request in fault.requests]
    if missing:
        raise MissingReply(missing)
    failed = [fault for fault in faults if isinstance(fault, NoReplyError)]
    if failed:
        raise min(failed, key=lambda fault: fault.retryable)
    return [result for result in results if not isinstance(result, BaseException)]


def _find_fault(reply: Reply) -> tuple[FailureKind, str] | None:
    """Return why a reply cannot be used, whatever its text says."""
    if reply.refusal:
        return "refused", reply.refusal
    if not reply.text.strip() and reply.ending == "whole":
        thoughts = "the reply holds reasoning and no answer; can the model be told not to think?"
        return "empty_reply", thoughts if reply.reasoning else "the reply holds no text"
    if reply.ending == "filtered":
        return "content_filter", f"the endpoint's filter stopped the reply ({reply.finish_reason})"
    if reply.ending == "unknown":
        return "truncated", f"ended with finish_reason {reply.finish_reason!r}, which counts as cut"
    if reply.is_cut:
        return "truncated", f"cut after {reply.completion_tokens} tokens; raise max_tokens of this stage"
    return None
