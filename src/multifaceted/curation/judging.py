"""Models at work on rows: each row that filters left is put to every model of a part of the recipe.

    found = asyncio.run(judge_rows(RowsToJudge(spec, prompt, seed=7, folder=folder, rows=read), count))

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
from multifaceted.curation.asked_prompt import AskedPrompt
from multifaceted.curation.asked_spec import AskedSpec
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
    """What models said of one row: numbers by model and name, and why some gave none."""

    position: int
    sibling: str | None  # whose response was put in place of the row's own
    scores: dict[str, dict[str, int]]
    faults: list[str]


@dataclass
class Verdicts:
    """What models said of all rows, by position; and of siblings' responses, by position and their id."""

    scores: dict[int, dict[str, dict[str, int]]] = field(default_factory=dict)
    of_siblings: dict[tuple[int, str], dict[str, dict[str, int]]] = field(default_factory=dict)
    unjudged: dict[int | tuple[int, str], list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class RowsToJudge:
    """The rows of one curation that models are asked about."""

    spec: AskedSpec  # who is asked, and what it may cost
    prompt: AskedPrompt
    seed: int  # of the run; each request derives its own
    folder: Path  # of the curation, held by whoever asks
    # With `position`, `id`, `prompt`, `preference_set`, `system` and `output`, and with `sibling` where the
    # output is that row's; gone through several times
    rows: Callable[[], Iterator[RowData]]

    @cached_property
    def models(self) -> dict[str, Model]:
        """Return each model, by the label under which it asks."""
        return {self.spec.name_asker(name): model for name, model in self.spec.asked.items()}

    @property
    def path(self) -> Path:
        """Return where batches lie: those of each part of the recipe for themselves."""
        return self.folder / self.spec.place

    @cached_property
    def names(self) -> dict[str, str]:
        """Return how requests name these models."""
        return name_models(self.models)

    def groups(self) -> Iterator[Group[Judged]]:
        """Yield all rows, whose replies lie in one journal."""
        yield Group(JUDGES, (partial(self.judge, row) for row in self.rows()))

    def journal_file(self, name: str) -> Path:
        """Return the journal, one for all that are asked."""
        return self.folder / name

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Nothing more: the curation folder is held already."""
        del name
        return nullcontext()

    async def judge(self, row: RowData, channel: Channel) -> Judged:
        """Ask every model about one row.

        Raises:
            MultifacetedError: what stops them all.
        """
        said = await finish_all([self._ask(name, row, channel) for name in self.spec.asked])
        named = dict(zip(self.spec.asked, said, strict=True))
        return Judged(
            row["position"],
            row.get("sibling"),
            {name: scores for name, scores in named.items() if not isinstance(scores, str)},
            [f"{name}: {fault}" for name, fault in named.items() if isinstance(fault, str)],
        )

    async def _ask(self, name: str, row: RowData, channel: Channel) -> dict[str, int] | str:
        """Return what one model says, or why that cannot be used."""
        try:
            exchange = await channel.ask(
                self._request(name, row), read=partial(self.prompt.parse, row), repair=self.prompt.repair
            )
        except NoReplyError as fault:
            return fault.message
        return exchange.value

    def _request(self, name: str, row: RowData) -> Request:
        label = self.spec.name_asker(name)
        model = self.models[label]
        return Request(
            label=label,
            row_id=name_asked(row["id"], row.get("sibling")),
            model=self.names[label],
            messages=self.prompt.render(row),
            parameters=model.parameters(seed_from(self.seed, row["id"], self.spec.role, name)),
            schema=self.prompt.schema(row),
            structured_output=model.structured_output,
            whole_endings=model.whole_endings,
            inline_reasoning=model.reasoning == "inline",
            stated=model.stated,
        )


def name_asked(row_id: str, sibling: str | None) -> str:
    """Return the name in the journal of a row, or of a row with the response of a sibling."""
    return row_id if sibling is None else f"{row_id} with the response of {sibling}"


async def judge_rows(rows: RowsToJudge, count: int, *, watch: WatchRun = nullcontext) -> Verdicts:
    """Have every model asked about every row.

    Raises:
        InputError: where there is a budget and no price to go by.
        MultifacetedError: what stopped them; every reply that came in is journaled.
    """
    spec, control = rows.spec, RunControl()
    check_prices(find_prices(rows.models, spec.mode), spec.max_usd, file=f"{spec.role}.budget")
    control.tally.planned = count
    spent = [part for part in sum_replies(rows.journal_file(JUDGES)) if part.stage in rows.models]
    count_spent(control.tally, spent)
    found = Verdicts()

    def take(judged: Judged) -> None:
        key = judged.position if judged.sibling is None else (judged.position, judged.sibling)
        if judged.scores and isinstance(key, int):
            found.scores[key] = judged.scores
        elif judged.scores and isinstance(key, tuple):
            found.of_siblings[key] = judged.scores
        if judged.faults:
            found.unjudged[key] = judged.faults
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
