"""`system_message`: written from the descriptions of the preference set, and from nothing else."""

from multifaceted.stages.base import Draft, Stage


def _list_descriptions(draft: Draft) -> list[str]:
    return [entry.description for entry in draft.made["preferences"]]


SYSTEM_MESSAGE = Stage(
    name="system_message",
    column="system",
    record="system_message",
    description="the system message, written from the descriptions of the preference set only",
    template="system_message",
    tokens=250,  # of 680 to 1,370 characters in the original collection (Lee et al. 2024, Bench)
    values={"descriptions": _list_descriptions},
    hidden=frozenset({"instruction", "preferences"}),
)
