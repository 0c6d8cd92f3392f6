"""Judges at work: each row that filters left is scored by every judge, live or by batch.

    found = asyncio.run(judge_rows(RowsToJudge(spec, prompt, seed=7, path=folder, rows=read), count))

A customer of the engine like the rows themselves: what was answered once is never asked again, so another
threshold sends no request.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from multifaceted.ask.channel import Channel, NoReplyError, finish_all
from multifaceted.ask.control import RunControl
from multifaceted.ask.opened import check_prices, open_asker
from multifaceted.ask.usage import count_spent, find_prices
from multifaceted.batch import Group, answer, do_jobs
from multifaceted.chat.factory import name_models
from multifaceted.curation.judge_prompt import JudgePrompt
from multifaceted.curation.judge_spec import JudgeSpec, name_asker
from multifaceted.errors import InterruptedRunError
from multifaceted.ids import seed_from
from multifaceted.journal import sum_replies
from multifaceted.models import Model
from multifaceted.records import Request
from multifaceted.store.curation import JUDGES

WatchRun = Callable[[RunControl], AbstractAsyncContextManager[Any]]
RowData = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """What judges said of one row: scores by judge and dimension, and why some gave none."""

    position: int
    scores: dict[str, dict[str, int]]
    faults: list[str]


@dataclass
class Verdicts:
    """What judges said of all rows, by row position."""

    scores: dict[int, dict[str, dict[str, int]]] = field(default_factory=dict)
    unjudged: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsToJudge:
    """The rows of one curation that are to be scored."""

    spec: JudgeSpec  # who judges, and what it may cost
    prompt: JudgePrompt
    seed: int  # of the run; each request derives its own
    path: Path  # the curation folder, held by whoever judges
    # With `position`, `id`, `prompt`, `preference_set` and `output`; gone through several times
    rows: Callable[[], Iterator[RowData]]

    @cached_property
    def models(self) -> dict[str, Model]:
        """Return the model of each judge, by the label under which it asks."""
        return {name_asker(judge): model for judge, model in self.spec.judges.items()}

    @cached_property
    def names(self) -> dict[str, str]:
        """Return how requests name these models."""
        return name_models(self.models)

    def groups(self) -> Iterator[Group[Judged]]:
        """Yield all rows, whose replies lie in one journal."""
        yield Group(JUDGES, (partial(self.judge, row) for row in self.rows()))

    def journal_file(self, name: str) -> Path:
        """Return the journal of the judges."""
        return self.path / name

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Nothing more: the curation folder is held already."""
        del name
        return nullcontext()

    async def judge(self, row: RowData, channel: Channel) -> Judged:
        """Have one row scored by every judge.

        Raises:
            MultifacetedError: what stops the judges.
        """
        said = await finish_all([self._ask(judge, row, channel) for judge in self.spec.judges])
        named = dict(zip(self.spec.judges, said, strict=True))
        return Judged(
            row["position"],
            {judge: scores for judge, scores in named.items() if not isinstance(scores, str)},
            [f"{judge}: {fault}" for judge, fault in named.items() if isinstance(fault, str)],
        )

    async def _ask(self, judge: str, row: RowData, channel: Channel) -> dict[str, int] | str:
        """Return the scores of one judge, or why it gave none."""
        try:
            exchange = await channel.ask(
                self._request(judge, row), read=partial(self.prompt.parse, row), repair=self.prompt.repair
            )
        except NoReplyError as fault:
            return fault.message
        return exchange.value

    def _request(self, judge: str, row: RowData) -> Request:
        label = name_asker(judge)
        model = self.models[label]
        return Request(
            label=label,
            row_id=row["id"],
            model=self.names[label],
            messages=self.prompt.render(row),
            parameters=model.parameters(seed_from(self.seed, row["id"], "judge", judge)),
            schema=self.prompt.schema(row),
            structured_output=model.structured_output,
            whole_endings=model.whole_endings,
            inline_reasoning=model.reasoning == "inline",
            stated=model.stated,
        )


async def judge_rows(rows: RowsToJudge, count: int, *, watch: WatchRun = nullcontext) -> Verdicts:
    """Have every row scored by every judge.

    Raises:
        InputError: where there is a budget and no price to go by.
        MultifacetedError: what stopped the judges; every reply that came in is journaled.
    """
    spec, control = rows.spec, RunControl()
    check_prices(find_prices(rows.models, spec.mode), spec.max_usd, file="judge.budget")
    control.tally.planned = count
    spent = sum_replies(rows.journal_file(JUDGES))
    count_spent(control.tally, spent)
    found = Verdicts()

    def take(judged: Judged) -> None:
        if judged.scores:
            found.scores[judged.position] = judged.scores
        if judged.faults:
            found.unjudged[judged.position] = "; ".join(judged.faults)
            control.tally.failed += 1
        else:
            control.tally.ok += 1

    message = "the judges were interrupted; what they said is kept, run it again"
    control.reason = InterruptedRunError(message)
    async with (
        watch(control),
        open_asker(rows.models, concurrency=spec.concurrency, control=control, max_usd=spec.max_usd) as asker,
        answer(asker, rows, spec) as asks,
    ):
        asker.note_answered(spent, rows.names)
        await do_jobs(rows, asks, take)
    return found
