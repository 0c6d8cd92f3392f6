"""What a row asked and was told: prompts rendered again from the recipe, replies out of the journal.

A request's key covers all of its text. So a prompt whose key the journal knows is the one that was sent.
"""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from multifaceted.ask.asker import read_answer
from multifaceted.ask.channel import Channel, MissingReply
from multifaceted.ask.control import RunControl
from multifaceted.chat.factory import name_models
from multifaceted.chat.reply import read_reply
from multifaceted.curation.asked_prompt import AskedPrompt
from multifaceted.curation.asked_spec import AskedSpec
from multifaceted.curation.judging import RowsToJudge
from multifaceted.curation.recipe import Asking, load_asking
from multifaceted.errors import MultifacetedError
from multifaceted.generation import RowMaker
from multifaceted.journal import Journal, KeptReply, read_replies
from multifaceted.planning import compile_plan
from multifaceted.records import Reply, Request, RowTask
from multifaceted.store.curation import JUDGES, curation_folder, read_recipe_of
from multifaceted.store.manifest import read_layout, read_recipe_file
from multifaceted.store.run_folder import RunFolder


@dataclass
class SentRequest:
    """One request of a row and what came back, each time it was asked."""

    stage: str
    key: str
    messages: list[dict[str, str]] = field(default_factory=list)  # empty where the prompt cannot be rendered
    replies: list[dict[str, Any]] = field(default_factory=list)
    repairs: bool = False  # it asks for a reply anew that did not validate


@dataclass
class RowRequests:
    """All turns of a row, and where it came from."""

    turns: list[SentRequest]
    task: RowTask | None = None
    remarks: list[str] = field(default_factory=list)
    shard: str | None = None  # None: no shard knows the row
    waiting: str | None = (
        None  # the stage whose reply comes next; "" where all came, None where it is unknown
    )


def read_asked(
    folder: RunFolder,
    shards: Sequence[str],
    row_id: str,
    *,
    keys: Sequence[str] = (),
    recipe: Path | None = None,
) -> RowRequests:
    """Return what a row asked and was told, so far.

    Args:
        folder: the run.
        shards: one of them has the row, or none.
        row_id: the row.
        keys: those that the row's record names; of a row that is not done, none.
        recipe: as in `tell_story`.
    """
    remarks, found = list[str](), None
    try:
        found = _render_again(folder, shards, row_id, recipe or read_recipe_file(folder))
    except MultifacetedError as error:
        remarks.append(f"prompts cannot be rendered again: {error.message}")
    shard = found.shard if found else _find_asking(folder, shards, row_id, keys)
    if shard is None:
        return RowRequests([], remarks=remarks)
    requests = found.requests if found else []
    turns, others = _join_turns(folder.journal_file(shard), row_id, keys, requests)
    if keys and requests and not turns[-1].replies:
        remarks.append("the last prompt has no reply: none came, or the recipe has changed since")
    if found and others:
        remarks.append("there are replies to prompts that the recipe does not give any more; they come last")
    waiting = next((turn.stage for turn in turns if not turn.replies), "") if found else None
    return RowRequests([*turns, *others], found and found.task, remarks, shard, waiting)


def read_judged(folder: RunFolder, seed: int, row: dict[str, Any]) -> RowRequests:
    """Return what judges were asked of a finished row and what they said; nothing where there are none."""
    path, remarks = curation_folder(folder), list[str]()
    if not (path / JUDGES).exists():
        return RowRequests([])
    try:
        requests = _render_judges(path, seed, row)
    except MultifacetedError as error:
        remarks.append(f"prompts of judges cannot be rendered again: {error.message}")
        requests = []
    turns, others = _join_turns(path / JUDGES, row["id"], (), requests)
    return RowRequests([*(turn for turn in turns if turn.replies), *others], remarks=remarks)


class _Tracer:
    """Answers from the journal alone, and remembers what was asked."""

    def __init__(self, journal_file: Path) -> None:
        self.control = RunControl()
        self.capacity = 1
        self.requests: list[Request] = []
        self._journal_file = journal_file

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """Return the newest reply that was not set aside, whoever asked for it."""
        del journal
        self.requests.append(request)
        kept = [r for r in read_replies(self._journal_file, "", [request.key]) if not r.set_aside]
        reply = read_answer(request, kept[-1].body, allowed=None) if kept else None
        if reply is None:
            raise MissingReply([request])
        return reply


class _Rendered(NamedTuple):
    """What a row asks, by the recipe and the replies so far."""

    shard: str
    task: RowTask
    requests: list[Request]


def _render_again(folder: RunFolder, shards: Sequence[str], row_id: str, recipe: Path) -> _Rendered | None:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(folder))
    tasks = (
        (part.name, task)
        for part, instructions in plan.read_shards([part for part in plan.shards if part.name in shards])
        for instruction in instructions
        for task in plan.tasks_of(instruction)
    )
    found = next(((shard, task) for shard, task in tasks if task.id == row_id), None)
    if found is None:
        return None
    shard, task = found
    maker = RowMaker(plan, name_models(plan.models))
    return _Rendered(shard, task, _trace(partial(maker.make, task), folder.journal_file(shard)))


def _find_asking(folder: RunFolder, shards: Sequence[str], row_id: str, keys: Sequence[str]) -> str | None:
    """Return the shard in which a row has asked, where the recipe does not tell."""
    if keys:
        return shards[0]
    asking = (name for name in shards if read_replies(folder.journal_file(name), row_id, []))
    return next(asking, None)


def _render_judges(path: Path, seed: int, row: dict[str, Any]) -> list[Request]:
    recipe = read_recipe_of(path)
    asking = load_asking(Path(recipe)) if recipe else Asking()
    asked: list[tuple[AskedSpec, AskedPrompt]] = [*asking.questions]
    asked += [asking.judge] if asking.judge else []
    requests: list[Request] = []
    for spec, prompt in asked:
        rows = RowsToJudge(spec, prompt, seed, path, lambda: iter(()))
        requests += _trace(partial(rows.judge, {**row, "position": 0}), path / JUDGES)
    return requests


def _trace(job: Callable[[Channel], Coroutine[Any, Any, object]], journal_file: Path) -> list[Request]:
    """Return the requests that a job makes, as far as the journal has the replies before them."""
    tracer = _Tracer(journal_file)

    async def run() -> None:
        # The journal is only read. The job wants one to write to, and gets one that is thrown away.
        with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "journal.sqlite") as journal:
            try:
                await job(Channel(tracer, journal))
            except MissingReply:
                return

    asyncio.run(run())
    return tracer.requests


def _join_turns(
    journal_file: Path, row_id: str, keys: Sequence[str], requests: list[Request]
) -> tuple[list[SentRequest], list[SentRequest]]:
    """Return the turns of requests with their replies, and those of replies that are to none of them."""
    kept = read_replies(journal_file, row_id, [*keys, *(request.key for request in requests)])
    turns = [_to_turn(request, kept) for request in requests]
    rendered = {turn.key for turn in turns}
    others = [reply for reply in kept if reply.key not in rendered]
    found = []
    for key in dict.fromkeys(reply.key for reply in others):
        mine = [reply for reply in others if reply.key == key]
        found.append(SentRequest(mine[0].stage, key, replies=[_describe(reply) for reply in mine]))
    return turns, found


def _to_turn(request: Request, kept: list[KeptReply]) -> SentRequest:
    return SentRequest(
        stage=request.label,
        key=request.key,
        messages=[{"role": message.role, "content": message.content} for message in request.messages],
        replies=[
            _describe(reply, inline_reasoning=request.inline_reasoning)
            for reply in kept
            if reply.key == request.key
        ],
        repairs=len(request.messages) > 1 and request.messages[-2].role == "assistant",
    )


def _describe(kept: KeptReply, *, inline_reasoning: bool = False) -> dict[str, Any]:
    read = read_reply(kept.key, kept.body, inline_reasoning=inline_reasoning)
    return {
        "attempt": kept.attempt,
        "model": read.model if read and read.model else kept.model,
        "mode": kept.mode,
        "text": read.text if read else None,
        "reasoning": read.reasoning if read else None,  # which is no part of the text
        "finish_reason": read.finish_reason if read else None,
        "refusal": read.refusal if read else None,
        "body": None if read else kept.body,  # what came was no chat completion
        "prompt_tokens": kept.prompt_tokens,
        "completion_tokens": kept.completion_tokens,
        "usd": kept.usd,
        "seconds": kept.seconds,
        "set_aside": bool(kept.set_aside),
        "asked_by": kept.row_id,
    }
