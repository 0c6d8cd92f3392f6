"""One row: preference set → system message → response (→ rubrics), each asked of its model and read.

Example:
    made = await maker.make(task, journal)      # a Row, or a Failure that says why not
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from multifaceted.errors import EndpointError, FailureKind, FatalEndpointError
from multifaceted.generate.control import RunControl
from multifaceted.ids import seed_from
from multifaceted.journal import Journal
from multifaceted.plan import LocalModel, Plan
from multifaceted.prompts.reply import ReplyError, parse_text
from multifaceted.prompts.rubrics import parse_rubric
from multifaceted.records import (
    BenchRow,
    Failure,
    Message,
    Reply,
    Request,
    Row,
    RowTask,
    Stage,
    StageRecord,
    TokenCount,
)

_Parsed = TypeVar("_Parsed")


class RowAsker(Protocol):
    """Whoever answers the requests of rows."""

    control: RunControl

    @property
    def capacity(self) -> int:
        """Requests that may be in flight at most."""
        ...

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """The reply to a request.

        Raises:
            EndpointError: where there is none.
            MissingReply: where it has none and sends nothing.
        """
        ...


class MissingReply(Exception):  # noqa: N818 - no error: it is how a row says what it needs
    """The next requests of a row have no reply yet."""

    def __init__(self, requests: Sequence[Request]) -> None:
        super().__init__(*(request.key for request in requests))
        self.requests = requests


class _RowFailed(Exception):  # noqa: N818 - it carries a failure, it is none
    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class RowMaker:
    """Everything that rows share. `model_names` are the names that go into requests and their keys."""

    plan: Plan
    model_names: Mapping[Stage, str]
    asker: RowAsker

    async def make(self, task: RowTask, journal: Journal) -> Row | Failure:
        """Make one row; whatever happens to it alone becomes a failure record.

        Raises:
            FatalEndpointError, StorageError, InterruptedRunError: what stops the whole run.
        """
        try:
            requests = _RowRequests(self, task, journal)
            row = await self._make(requests)
            return await self._add_rubrics(row, requests) if "rubric" in self.plan.kind.stages else row
        except _RowFailed as failed:
            return failed.failure

    async def _make(self, requests: "_RowRequests") -> Row:
        task, prompts = requests.task, self.plan.prompts
        preference_set, preferences = await requests.ask(
            "preferences", prompts.preferences(task), prompts.parse_preferences
        )
        system, system_message = await requests.ask(
            "system_message", prompts.system_message(preference_set), parse_text
        )
        output, response = await requests.ask(
            "response", prompts.response(system, task.instruction.prompt), parse_text
        )
        return Row(
            id=task.id,
            instruction_id=task.instruction.id,
            variant=task.variant,
            main_source=task.instruction.source,
            original_source=task.instruction.original_source,
            preference_set=preference_set,
            system=system,
            prompt=task.instruction.prompt,
            output=output,
            seed=task.seed,
            seed_preferences=list(task.seeds.ids),
            taxonomy_version=prompts.taxonomy.version,
            taxonomy_fingerprint=prompts.taxonomy_fingerprint,
            preferences=preferences,
            system_message=system_message,
            response=response,
        )

    async def _add_rubrics(self, row: Row, requests: "_RowRequests") -> BenchRow:
        asked = await _finish_all(
            [
                replace(requests, part=entry.dimension).ask(
                    "rubric", self.plan.prompts.rubric(row.prompt, entry), parse_rubric
                )
                for entry in row.preference_set
            ]
        )
        rubrics, records = [rubric for rubric, _ in asked], [record for _, record in asked]
        return BenchRow(**dict(row), rubrics=rubrics, rubric=records)


@dataclass(frozen=True)
class _RowRequests:
    """The requests of one row: built, asked, read, repaired once."""

    maker: RowMaker
    task: RowTask
    journal: Journal
    part: str = ""  # tells the requests of one stage apart, where it asks more than once

    async def ask(
        self, stage: Stage, turns: tuple[Message, ...], parse: Callable[[str], _Parsed]
    ) -> tuple[_Parsed, StageRecord]:
        request = self._request(stage, turns)
        reply = await self._reply(request)
        try:
            parsed, replies = parse(reply.text), [reply]
        except ReplyError as fault:
            request = replace(request, messages=self.maker.plan.prompts.repair(turns, reply.text, fault))
            repaired = await self._reply(request)
            replies = [reply, repaired]
            try:
                parsed = parse(repaired.text)
            except ReplyError as still:
                raise self._failed(request, "invalid_reply", str(still)) from still
        return parsed, self._record(stage, request.key, replies)

    async def _reply(self, request: Request) -> Reply:
        """The reply, as long as it is whole."""
        try:
            reply = await self.maker.asker.ask(request, self.journal)
        except FatalEndpointError:
            raise
        except EndpointError as error:
            raise self._failed(request, error.kind, error.message, retryable=error.retryable) from error
        fault = _find_fault(reply)
        if fault is not None:
            cut_at = request.max_tokens if reply.is_cut else None
            raise self._failed(request, *fault, cut_at=cut_at)
        return reply

    def _request(self, stage: Stage, turns: tuple[Message, ...]) -> Request:
        model = self.maker.plan.recipe.model_for(stage)
        seed = seed_from(self.task.seed, stage, *([self.part] if self.part else []))
        parameters = model.parameters(seed)
        schema = self.maker.plan.prompts.reply_schema(stage, self.task, fix_known=model.small)
        name = self.maker.model_names[stage]
        return Request(stage, self.task.id, name, turns, parameters, schema, model.structured_output)

    def _failed(
        self,
        request: Request,
        kind: FailureKind,
        message: str,
        *,
        retryable: bool = False,
        cut_at: int | None = None,
    ) -> _RowFailed:
        message = f"{self.part}: {message}" if self.part else message
        return _RowFailed(Failure(self.task.id, kind, request.stage, message, request.key, retryable, cut_at))

    def _record(self, stage: Stage, key: str, replies: list[Reply]) -> StageRecord:
        asked = self.maker.model_names[stage]
        # An endpoint may name the model more exactly than it was asked for; llama.cpp names its file's path.
        is_local = isinstance(self.maker.plan.recipe.model_for(stage), LocalModel)
        return StageRecord(
            model=asked if is_local else replies[-1].model or asked,
            request_key=key,
            template=self.maker.plan.prompts.hashes[stage],
            tokens=TokenCount(
                prompt=sum(reply.prompt_tokens for reply in replies),
                completion=sum(reply.completion_tokens for reply in replies),
            ),
        )


async def _finish_all(asked: list[Coroutine[Any, Any, _Parsed]]) -> list[_Parsed]:
    """Ask at once, and let each come in whatever becomes of the others: it is paid for.

    Of several faults the one is raised that weighs most: what stops the run, then what is still missing,
    then what asking again would not mend.
    """
    results = await asyncio.gather(*asked, return_exceptions=True)
    faults = [result for result in results if isinstance(result, BaseException)]
    for fault in faults:
        if not isinstance(fault, (MissingReply, _RowFailed)):
            raise fault
    missing = [request for fault in faults if isinstance(fault, MissingReply) for request in fault.requests]
    if missing:
        raise MissingReply(missing)
    failed = [fault for fault in faults if isinstance(fault, _RowFailed)]
    if failed:
        raise min(failed, key=lambda fault: fault.failure.retryable)
    return [result for result in results if not isinstance(result, BaseException)]


def _find_fault(reply: Reply) -> tuple[FailureKind, str] | None:
    """Why a reply cannot be used, whatever its text says."""
    if reply.refusal:
        return "refused", reply.refusal
    if reply.finish_reason == "content_filter":
        return "content_filter", "the endpoint's filter stopped the reply"
    if reply.is_cut:
        return "truncated", f"cut after {reply.completion_tokens} tokens; raise max_tokens of this stage"
    if not reply.text.strip():
        return "empty_reply", "the reply holds no text"
    return None
