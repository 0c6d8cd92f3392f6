"""`preview`: the prompts of the first rows, before anything is sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multifaceted.planning import Plan, Recipe, compile_plan
from multifaceted.records import Message


@dataclass(frozen=True)
class Prompt:
    """One request as it would be sent."""

    row: str  # id
    stage: str
    part: str  # the dimension, of a stage that asks once for each; else empty
    model: str
    messages: tuple[Message, ...]

    @property
    def title(self) -> str:
        """Row, stage and model in a line."""
        asked = f"{self.stage} of {self.part}" if self.part else self.stage
        return f"{self.row} · {asked} · {self.model}"


class Prompts(list[Prompt]):
    """Prompts of some rows; shown as text."""

    def __repr__(self) -> str:
        return "\n".join(
            f"── {prompt.title}\n" + "\n".join(f"[{turn.role}] {turn.content}" for turn in prompt.messages)
            for prompt in self
        )


def preview(recipe: str | Path | Recipe, rows: int = 1) -> Prompts:
    """Render the prompts of the first rows. Nothing is sent; `try_rows` gives real replies.

    Raises:
        InputError: with every problem of the recipe and what it names.
    """
    return Prompts(list_prompts(compile_plan(as_source(recipe)), rows))


def as_source(recipe: str | Path | Recipe) -> Path | Recipe:
    """Return a recipe as it is, and the name of a file as a path."""
    return recipe if isinstance(recipe, Recipe) else Path(recipe)


def list_prompts(compiled: Plan, count: int) -> Iterator[Prompt]:
    """Yield the prompts of the first rows."""
    for task in compiled.first_tasks(count):
        for stage, part, turns, _ in compiled.prompts.preview(task):
            model = compiled.models[stage.name].label
            yield Prompt(task.id, stage.name, part.dimension if part else "", model, tuple(turns))
