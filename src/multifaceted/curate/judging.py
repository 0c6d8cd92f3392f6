"""Judges at work: each row that filters left is scored by every judge, and each reply is paid for once.

    found = asyncio.run(Bench(spec, journal_file, 7, JudgePrompt.load()).judge(rows, count))

The same `Asker` and journal as in generation: what was answered once is never asked again, so another
threshold sends no request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from multifaceted.chat.factory import name_models, open_pools
from multifaceted.curate.judge_prompt import JudgePrompt
from multifaceted.curate.judge_spec import JudgeSpec
from multifaceted.errors import (
    EndpointError,
    FatalEndpointError,
    InputError,
    InterruptedRunError,
    Problem,
)
from multifaceted.generate import Asker
from multifaceted.generate.control import RunControl
from multifaceted.generate.usage import Usage
from multifaceted.ids import seed_from
from multifaceted.journal import Journal, sum_replies
from multifaceted.plan import LiveModel, LocalModel
from multifaceted.plan.prices import find_price
from multifaceted.prompts.reply import ReplyError
from multifaceted.records import Request, Stage

# No stage of a row: judges have a journal of their own, and nothing that counts stages sees it.
JUDGE = cast("Stage", "judge")
_ROWS_PER_REQUEST = 2  # rows at work for each request in flight

Watch = Callable[[RunControl], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class Judge:
    """One model that scores rows."""

    label: str
    name: str  # as it goes into requests
    model: LiveModel | LocalModel
    asker: Asker


@dataclass
class Verdicts:
    """What judges said: scores by row position, judge and dimension; and why a row has none of a judge."""

    scores: dict[int, dict[str, dict[str, int]]] = field(default_factory=dict)
    unjudged: dict[int, str] = field(default_factory=dict)


@dataclass
class Bench:
    """The judges of one curation.

    Args:
        spec: who judges, and what it may cost.
        journal_file: where replies are kept.
        seed: of the run; each request derives its own.
        prompt: what they are asked.
        watch: shows the progress to people.
    """

    spec: JudgeSpec
    journal_file: Path
    seed: int
    prompt: JudgePrompt
    watch: Watch = nullcontext
    control: RunControl = field(default_factory=RunControl)

    async def judge(self, rows: Iterator[dict[str, Any]], count: int) -> Verdicts:
        """Have every row scored by every judge.

        Args:
            rows: with `position`, `id`, `prompt`, `preference_set` and `output`.
            count: how many there are.

        Raises:
            MultifacetedError: what stopped the judges; every reply that came in is journaled.
        """
        found = Verdicts()
        self.control.tally.planned = count
        self.control.tally.usd = sum(part.usd for part in sum_replies(self.journal_file))
        with self.control.heed_signals(self._interrupt):
            async with self._open() as judges, self.watch(self.control):
                with Journal(self.journal_file) as journal:
                    width = _ROWS_PER_REQUEST * max(judge.asker.capacity for judge in judges)
                    workers = [
                        asyncio.create_task(self._work(rows, judges, journal, found)) for _ in range(width)
                    ]
                    await self._finish(workers)
        return found

    def _interrupt(self) -> None:
        message = "the judges were interrupted; what they said is kept, run it again"
        self.control.stop(InterruptedRunError(message))

    async def _finish(self, workers: list[asyncio.Task[None]]) -> None:
        """Wait for all; what stops one stops all, but what is in flight comes in, for it is paid for."""
        try:
            await asyncio.gather(*workers)
        except BaseException as error:  # noqa: BLE001 - it is raised again, or what it came from
            self.control.stop(error if isinstance(error, Exception) else None)
            await asyncio.gather(*workers, return_exceptions=True)
            raise self.control.reason from (None if error is self.control.reason else error)

    async def _work(
        self, rows: Iterator[dict[str, Any]], judges: list[Judge], journal: Journal, found: Verdicts
    ) -> None:
        for row in rows:  # shared by all workers
            if self.control.stopping:
                raise InterruptedRunError("the judges were interrupted")
            for judge in judges:
                try:
                    scores = await self._ask(judge, row, journal)
                except FatalEndpointError:
                    raise
                except (EndpointError, ReplyError) as error:
                    found.unjudged[row["position"]] = f"{judge.label}: {error}"
                else:
                    found.scores.setdefault(row["position"], {})[judge.label] = scores
            if row["position"] in found.unjudged:
                self.control.tally.failed += 1
            else:
                self.control.tally.ok += 1

    async def _ask(self, judge: Judge, row: dict[str, Any], journal: Journal) -> dict[str, int]:
        request = self._request(judge, row)
        reply = await judge.asker.ask(request, journal)
        if reply.refusal or reply.is_cut:
            raise ReplyError(
                [reply.refusal or f"cut after {reply.completion_tokens} tokens; raise max_tokens"]
            )
        try:
            return self.prompt.parse(row, reply.text)
        except ReplyError as fault:
            turns = self.prompt.repair(request.messages, reply.text, fault)
            repaired = await judge.asker.ask(replace(request, messages=turns), journal)
            return self.prompt.parse(row, repaired.text)

    def _request(self, judge: Judge, row: dict[str, Any]) -> Request:
        model = judge.model
        return Request(
            JUDGE,
            row["id"],
            judge.name,
            self.prompt.render(row),
            model.parameters(seed_from(self.seed, row["id"], "judge", judge.label)),
            self.prompt.schema(row),
            model.structured_output,
        )

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[list[Judge]]:
        prices = [find_price(model) for model in self.spec.models]
        max_usd = self.spec.budget.max_usd if self.spec.budget else None
        if max_usd is not None and None in prices:
            message = "there is a budget, but the price of a judge is unknown"
            hint = "state it in the recipe, in USD per million tokens: prices: {input: …, output: …}"
            raise InputError([Problem("judge.budget", 0, message)], hint=hint)
        async with AsyncExitStack() as stack:
            judges = []
            for label, model, price in zip(self.spec.labels, self.spec.models, prices, strict=True):
                pools = await stack.enter_async_context(
                    open_pools({JUDGE: model}, concurrency=self.spec.concurrency)
                )
                self.control.tell_when_stopped(pools[JUDGE].stop)
                self.control.endpoints = [*self.control.endpoints, *pools[JUDGE].lanes]
                asker = Asker(
                    pools,
                    models={JUDGE: model},
                    usage=Usage({JUDGE: price}),
                    control=self.control,
                    max_usd=max_usd,
                )
                judges.append(Judge(label, name_models({JUDGE: model})[JUDGE], model, asker))
            yield judges
