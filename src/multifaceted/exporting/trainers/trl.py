"""TRL's shapes, conversational: `prompt` with `completion`, or with `chosen` and `rejected`.

TRL ignores a flat `system` column, so the system message is the first turn of the prompt. Reward training
takes the same rows: the trainer joins prompt and response itself.
"""

from pydantic import BaseModel

from multifaceted.building.configs.dpo import Turn
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.view import PublishedRow, View, last_text, open_conversation, respond

CONFIG = "train.yaml"
CHAT_TEMPLATE = "chat_template.jinja"
SCRIPT = "train.py"


class CompletionRow(BaseModel):
    """A prompt and the response to learn."""

    id: str
    prompt: list[Turn]
    completion: list[Turn]


class PreferenceRow(BaseModel):
    """A prompt, the response to prefer, and the other one."""

    id: str
    prompt: list[Turn]
    chosen: list[Turn]
    rejected: list[Turn]


def _complete(row: PublishedRow) -> CompletionRow:
    return CompletionRow(id=row["id"], prompt=open_conversation(row), completion=[respond(row["output"])])


def _prefer(row: PublishedRow) -> PreferenceRow:
    return PreferenceRow(
        id=row["id"],
        prompt=open_conversation(row),
        chosen=[respond(last_text(row["chosen"]))],
        rejected=[respond(last_text(row["rejected"]))],
    )


_CONFIG = {CONFIG: "trl.yaml.j2"}
_TEMPLATE = {CHAT_TEMPLATE: "chat_template.jinja"}
TITLE = "TRL"
VIEWS: dict[Task, View] = {
    "sft": View(CompletionRow, _complete, _CONFIG | _TEMPLATE, f"trl sft --config {CONFIG}"),
    "dpo": View(PreferenceRow, _prefer, _CONFIG, f"trl dpo --config {CONFIG}"),
    # TRL has an ORPO trainer, and no command for it.
    "orpo": View(
        PreferenceRow,
        _prefer,
        _CONFIG | _TEMPLATE | {SCRIPT: "trl_orpo.py.j2"},
        f"accelerate launch {SCRIPT} --config {CONFIG}",
    ),
    "rm": View(PreferenceRow, _prefer, _CONFIG, f"trl reward --config {CONFIG}"),
}
