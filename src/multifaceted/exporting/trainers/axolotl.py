"""axolotl's shapes, one for each of its dataset types.

| task | type | row |
| --- | --- | --- |
| sft | `chat_template` | `messages` |
| dpo | `chat_template.default` | `messages`, then one turn each in `chosen` and `rejected` |
| orpo | `chat_template.argilla` | `system`, `prompt`, and two conversations |
| rm | `bradley_terry.chat_template` | four texts |
"""

from pydantic import BaseModel

from multifaceted.building.configs.dpo import Turn
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.view import PublishedRow, View, last_text, open_conversation, respond

CONFIG = "train.yaml"
CHAT_TEMPLATE = "chat_template.jinja"


class MessagesRow(BaseModel):
    """A whole conversation."""

    id: str
    messages: list[Turn]


class ReplyPairRow(BaseModel):
    """A conversation and two replies to it."""

    id: str
    messages: list[Turn]
    chosen: Turn
    rejected: Turn


class ConversationPairRow(BaseModel):
    """Two conversations that begin with `prompt`; the system message stands beside them."""

    id: str
    system: str
    prompt: str
    chosen: list[Turn]
    rejected: list[Turn]


class TextPairRow(BaseModel):
    """The same as texts; `input` is the instruction."""

    id: str
    system: str
    input: str
    chosen: str
    rejected: str


def _converse(row: PublishedRow) -> MessagesRow:
    return MessagesRow(id=row["id"], messages=[*open_conversation(row), respond(row["output"])])


def _pair_replies(row: PublishedRow) -> ReplyPairRow:
    return ReplyPairRow(
        id=row["id"],
        messages=open_conversation(row),
        chosen=respond(last_text(row["chosen"])),
        rejected=respond(last_text(row["rejected"])),
    )


def _pair_texts(row: PublishedRow) -> TextPairRow:
    return TextPairRow(
        id=row["id"],
        system=row["system"],
        input=row["prompt"],
        chosen=last_text(row["chosen"]),
        rejected=last_text(row["rejected"]),
    )


_COMMAND = f"axolotl train {CONFIG}"
_CONFIG = {CONFIG: "axolotl.yaml.j2"}
_TEMPLATE = {CHAT_TEMPLATE: "chat_template.jinja"}
TITLE = "axolotl"
VIEWS: dict[Task, View] = {
    "sft": View(MessagesRow, _converse, _CONFIG | _TEMPLATE, _COMMAND),
    "dpo": View(ReplyPairRow, _pair_replies, _CONFIG, _COMMAND),
    "orpo": View(ConversationPairRow, ConversationPairRow.model_validate, _CONFIG | _TEMPLATE, _COMMAND),
    "rm": View(TextPairRow, _pair_texts, _CONFIG, _COMMAND),
}
