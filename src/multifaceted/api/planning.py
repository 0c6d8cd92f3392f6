"""`plan`, and rows made as a trial: what a recipe will ask and cost, before anything is spent."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs
from pydantic_core import to_json

from multifaceted import pipeline
from multifaceted.api.blocking import Session
from multifaceted.api.plan_data import describe_plan
from multifaceted.api.prompts import Prompts, as_source, list_prompts
from multifaceted.api.runs import Run, to_path
from multifaceted.ask.control import RunControl
from multifaceted.pipeline import Rest
from multifaceted.planning import Plan, Recipe, compile_plan
from multifaceted.planning.cost import LOOKED_AT, Estimate
from multifaceted.records import Failure, Row
from multifaceted.store.manifest import read_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.terminal import show


@dataclass(frozen=True, repr=False)
class RunPlan:
    """What a recipe will ask and cost, or what a run of it has left to ask."""

    compiled: Plan
    estimate: Estimate  # of the whole run
    rest: Rest | None = None  # of a run: what is there, and what is left

    @property
    def rows(self) -> int:
        """Return how many rows are planned: every instruction in every variant."""
        return self.compiled.rows

    @property
    def requests(self) -> int:
        """Return how many requests are still to be sent, without repair turns."""
        left = self.rest.estimate if self.rest else self.estimate
        return sum(stage.requests for stage in left.stages)

    @property
    def usd(self) -> float | None:
        """Return the cost of what is left to ask, live, in USD; None where a price is unknown."""
        return (self.rest.estimate if self.rest else self.estimate).live_usd

    def as_dict(self) -> dict[str, object]:
        """Return all of it as plain data."""
        return describe_plan(self.compiled, self.estimate, self.rest)

    def preview(self, rows: int = 1) -> Prompts:
        """Return the prompts of the first rows; nothing is sent."""
        return Prompts(list_prompts(self.compiled, rows))

    def __repr__(self) -> str:
        plan, what = self.compiled, "to ask" if self.rest else "requests"
        size = f"{plan.instructions:,} instructions in {plan.recipe.variants} variants = {plan.rows:,} rows"
        cost = "price unknown" if self.usd is None else f"{self.usd:,.4f} USD live"
        return f"<plan of {plan.recipe.name}: {size}, {self.requests:,} {what}, {cost}>"


def plan(recipe: str | Path | Recipe, run: str | Path | Run | None = None) -> RunPlan:
    """Estimate what a recipe will ask and cost. Spends nothing, and needs no network.

    Args:
        recipe: a recipe, or its file.
        run: a run of this recipe: then also what `generate` would still ask there.

    Raises:
        InputError: with every problem of the recipe and what it names.
        StorageError: where there is no such run.
    """
    folder = None if run is None else RunFolder(to_path(run))
    layout = read_run(folder).instructions_per_shard if folder else None
    compiled = compile_plan(as_source(recipe), instructions_per_shard=layout)
    if folder is None:
        return RunPlan(compiled, pipeline.estimate_run(compiled))
    if compiled.rows > LOOKED_AT:
        show.say(f"going through at most {LOOKED_AT:,} of {compiled.rows:,} rows, evenly spread …")
    rest = Session(progress=False).call(partial(pipeline.estimate_rest, compiled, folder.path))
    return RunPlan(compiled, rest.whole, rest)


@dataclass(frozen=True, repr=False)
class TriedRow:
    """A row that was made as a trial, or why it failed."""

    id: str
    row: dict[str, Any] | None  # with the columns that stages made
    failure: Failure | None

    @property
    def text(self) -> str:
        """Return the row as text."""
        if self.failure is not None:
            failure = self.failure
            return f"failed in stage {failure.stage}: {failure.kind}: {failure.message}\n"
        values = {
            name: value if isinstance(value, str) else to_json(value, indent=2).decode()
            for name, value in (self.row or {}).items()
        }
        return "".join(f"\n{name}\n{value}\n" for name, value in values.items())

    def __repr__(self) -> str:
        return f"── {self.id}\n{self.text}"


def try_rows(recipe: str | Path | Recipe, rows: int = 1) -> list[TriedRow]:
    """Make the first rows for real, as a trial. No run is started; their replies are kept in a cache.

    So looking twice is paid once. A run asks for them anew.

    Raises:
        InputError: with every problem of the recipe and what it names.
        EndpointError: where the endpoint refuses.
    """
    compiled = compile_plan(as_source(recipe))
    journal = platformdirs.user_cache_path("multifaceted") / "previews" / f"{compiled.recipe.name}.sqlite"
    session, columns = Session(progress=False), ["prompt", *(stage.column for stage in compiled.stages)]

    async def make() -> list[TriedRow]:
        control = RunControl()
        async with session.watch(control):
            made = pipeline.make_first_rows(compiled, rows, journal, control=control)
            return [_to_tried(row, columns) async for row in made]

    return session.call(lambda: asyncio.run(make()))


def _to_tried(made: Row | Failure, columns: list[str]) -> TriedRow:
    if isinstance(made, Failure):
        return TriedRow(made.id, None, made)
    data = made.model_dump()
    return TriedRow(made.id, {name: data[name] for name in columns}, None)
