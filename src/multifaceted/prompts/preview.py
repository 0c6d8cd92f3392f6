"""The prompts of a row before anything is asked: `preview_row(prompts, task)`.

What only a reply can give is stood in for: the sampled preferences, and a mark for the system message.
"""

from collections.abc import Callable
from typing import NamedTuple

from multifaceted.prompts.stages import StagePrompts
from multifaceted.records import Message, PreferenceEntry, RowTask, Stage

STAND_IN = "[the system message that the model writes]"


class Preview(NamedTuple):
    """One request of a row."""

    stage: Stage
    part: str  # the dimension it asks about, in a stage that asks once for each; else empty
    turns: tuple[Message, ...]


def preview_row(prompts: StagePrompts, task: RowTask, *, system: str = STAND_IN) -> list[Preview]:
    """The chat turns of every request, with `system` in place of a system message."""
    entries = [
        PreferenceEntry(
            dimension=preference.id.split("/")[0],
            subdimension=preference.id.split("/")[1],
            preference=preference.name,
            description=preference.description,
        )
        for preference in task.seeds.preferences
    ]
    asked = task.instruction.prompt
    render: dict[Stage, Callable[[], list[tuple[str, tuple[Message, ...]]]]] = {
        "preferences": lambda: [("", prompts.preferences(task))],
        "system_message": lambda: [("", prompts.system_message(entries))],
        "response": lambda: [("", prompts.response(system, asked))],
        "rubric": lambda: [(entry.dimension, prompts.rubric(asked, entry)) for entry in entries],
    }
    return [Preview(stage, part, turns) for stage in prompts.stages for part, turns in render[stage]()]
