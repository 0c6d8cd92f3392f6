"""The prompts of a row before anything is asked: `preview_row(prompts, task)`.

What only a reply can give is stood in for: the sampled preferences, and a mark for the system message.
"""

from multifaceted.prompts.stages import StagePrompts
from multifaceted.records import Message, PreferenceEntry, RowTask, Stage

STAND_IN = "[the system message that the model writes]"


def preview_row(
    prompts: StagePrompts, task: RowTask, *, system: str = STAND_IN
) -> dict[Stage, tuple[Message, ...]]:
    """The chat turns of every stage, with `system` in place of a system message."""
    entries = [
        PreferenceEntry(
            dimension=preference.id.split("/")[0],
            subdimension=preference.id.split("/")[1],
            preference=preference.name,
            description=preference.description,
        )
        for preference in task.seeds.preferences
    ]
    return {
        "preferences": prompts.preferences(task),
        "system_message": prompts.system_message(entries),
        "response": prompts.response(system, task.instruction.prompt),
    }
