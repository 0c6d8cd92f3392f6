"""What a row asked and was told: prompts rendered again from the recipe, replies out of the journal.

A request's key covers all of its text. So a prompt whose key the journal knows is the one that was sent.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from multifaceted.ask import Channel, RunControl
from multifaceted.ask.channel import MissingReply
from multifaceted.chat.factory import name_models
from multifaceted.chat.reply import read_reply
from multifaceted.errors import MultifacetedError
from multifaceted.generate import RowMaker
from multifaceted.journal import Journal, KeptReply, read_replies
from multifaceted.plan import compile_plan
from multifaceted.records import Instruction, Reply, Request, RowTask
from multifaceted.store.manifest import read_layout, read_recipe_file
from multifaceted.store.run_folder import RunFolder


@dataclass
class Turn:
    """One request of a row and what came back, each time it was asked."""

    stage: str
    key: str
    messages: list[dict[str, str]] = field(default_factory=list)  # empty where the prompt cannot be rendered
    replies: list[dict[str, Any]] = field(default_factory=list)
    repairs: bool = False  # it asks for a reply anew that did not validate


@dataclass
class Asked:
    """All turns of a row, and where it came from."""

    turns: list[Turn]
    task: RowTask | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def instruction(self) -> Instruction | None:
        """As the pool has it now."""
        return self.task.instruction if self.task else None


def read_asked(
    folder: RunFolder, shard: str, row_id: str, *, keys: Sequence[str] = (), recipe: Path | None = None
) -> Asked:
    """What a row asked and was told.

    Args:
        folder: the run.
        shard: the row's.
        row_id: the row's.
        keys: request keys that the row's record names.
        recipe: where the recipe is now; None: where it was when the run last started.
    """
    remarks: list[str] = []
    try:
        task, requests = _render_again(folder, shard, row_id, recipe or read_recipe_file(folder))
    except MultifacetedError as error:
        remarks.append(f"prompts cannot be rendered again: {error.message}")
        task, requests = None, []
    kept = read_replies(folder.journal_file(shard), row_id, [*keys, *(request.key for request in requests)])
    turns = [_to_turn(request, kept) for request in requests]
    if requests and not turns[-1].replies:
        remarks.append("the last prompt has no reply: none came, or the recipe has changed since")
    rendered = {turn.key for turn in turns}
    others = [reply for reply in kept if reply.key not in rendered]
    if task is not None and others:
        remarks.append("there are replies to prompts that the recipe does not give any more; they come last")
    for key in dict.fromkeys(reply.key for reply in others):
        mine = [reply for reply in others if reply.key == key]
        turns.append(Turn(mine[0].stage, key, replies=[_describe(reply) for reply in mine]))
    return Asked(turns, task, remarks)


class _Tracer:
    """Answers from the journal alone, and remembers what was asked."""

    def __init__(self, journal_file: Path) -> None:
        self.control = RunControl()
        self.capacity = 1
        self.requests: list[Request] = []
        self._journal_file = journal_file

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """The newest reply that was not set aside, whoever asked for it."""
        del journal
        self.requests.append(request)
        kept = [r for r in read_replies(self._journal_file, "", [request.key]) if not r.set_aside]
        reply = read_reply(request.key, kept[-1].body) if kept else None
        if reply is None:
            raise MissingReply([request])
        return reply


def _render_again(
    folder: RunFolder, shard: str, row_id: str, recipe: Path
) -> tuple[RowTask | None, list[Request]]:
    plan = compile_plan(recipe, instructions_per_shard=read_layout(folder))
    tasks = (
        task
        for part in plan.shards
        if part.name == shard
        for _, instructions in plan.read_shards([part])
        for instruction in instructions
        for task in plan.tasks_of(instruction)
    )
    task = next((task for task in tasks if task.id == row_id), None)
    if task is None:
        return None, []
    tracer = _Tracer(folder.journal_file(shard))
    asyncio.run(_trace(RowMaker(plan, name_models(plan.models)), task, tracer))
    return task, tracer.requests


async def _trace(maker: RowMaker, task: RowTask, tracer: _Tracer) -> None:
    # The journal of the run is only read. The maker wants one to write to, and gets one that is thrown away.
    with tempfile.TemporaryDirectory() as scratch, Journal(Path(scratch) / "journal.sqlite") as journal:
        try:
            await maker.make(task, Channel(tracer, journal))
        except MissingReply:
            return


def _to_turn(request: Request, kept: list[KeptReply]) -> Turn:
    return Turn(
        stage=request.label,
        key=request.key,
        messages=[{"role": message.role, "content": message.content} for message in request.messages],
        replies=[_describe(reply) for reply in kept if reply.key == request.key],
        repairs=len(request.messages) > 1 and request.messages[-2].role == "assistant",
    )


def _describe(kept: KeptReply) -> dict[str, Any]:
    read = read_reply(kept.key, kept.body)
    return {
        "attempt": kept.attempt,
        "model": read.model if read and read.model else kept.model,
        "mode": kept.mode,
        "text": read.text if read else None,
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
