"""What a trainer view is: a row model, how a published row becomes its row, and the files beside the rows.

Its rows come from the published config `sft`, or from that of the pairs: `dpo`, `orpo` and `rm` hold the same
pairs, and only `dpo` and `orpo` keep system message and instruction apart, which chat templates need.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from multifaceted.building.configs.dpo import Turn

PublishedRow = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """One task in the shape of one trainer."""

    model: type[BaseModel]  # fixes field names, their order and types
    make: Callable[[PublishedRow], BaseModel]  # a row of it from a published row
    files: dict[str, str]  # name of each file beside the rows → the template it is rendered from
    command: str  # starts the training, in the exported folder


def open_conversation(row: PublishedRow) -> list[Turn]:
    """Return the turns before the response: system message and instruction."""
    return [Turn(role="system", content=row["system"]), Turn(role="user", content=row["prompt"])]


def respond(text: str) -> Turn:
    """Return the turn that the model is trained on."""
    return Turn(role="assistant", content=text)


def last_text(turns: list[dict[str, str]]) -> str:
    """Return the response of a published conversation."""
    return turns[-1]["content"]
