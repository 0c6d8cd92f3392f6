"""OpenRLHF's shapes: lists of turns that it joins and renders itself, with `--data.apply_chat_template`.

`input` holds the turns before the response; `output`, `chosen` and `rejected` hold one turn each. OpenRLHF
has no ORPO trainer.
"""

from pydantic import BaseModel

from multifaceted.building.configs.dpo import Turn
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.view import PublishedRow, View, last_text, open_conversation, respond

SCRIPT = "train.sh"
CHAT_TEMPLATE = "chat_template.jinja"


class OutputRow(BaseModel):
    """The turns before the response, and the response."""

    id: str
    input: list[Turn]
    output: list[Turn]


class PairRow(BaseModel):
    """The turns before the response, and two responses."""

    id: str
    input: list[Turn]
    chosen: list[Turn]
    rejected: list[Turn]


def _answer(row: PublishedRow) -> OutputRow:
    return OutputRow(id=row["id"], input=open_conversation(row), output=[respond(row["output"])])


def _pair(row: PublishedRow) -> PairRow:
    return PairRow(
        id=row["id"],
        input=open_conversation(row),
        chosen=[respond(last_text(row["chosen"]))],
        rejected=[respond(last_text(row["rejected"]))],
    )


_COMMAND = f"bash {SCRIPT}"
_SCRIPT = {SCRIPT: "openrlhf.sh.j2"}
TITLE = "OpenRLHF"
VIEWS: dict[Task, View] = {
    "sft": View(OutputRow, _answer, _SCRIPT | {CHAT_TEMPLATE: "chat_template.jinja"}, _COMMAND),
    "dpo": View(PairRow, _pair, _SCRIPT, _COMMAND),
    "rm": View(PairRow, _pair, _SCRIPT, _COMMAND),
}
