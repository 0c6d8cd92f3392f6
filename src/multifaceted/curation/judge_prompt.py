"""What a judge is asked and how its reply is read; pure.

Example:
    prompt = JudgePrompt.load()
    prompt.render(row)                           # the chat turns
    prompt.parse(row, '{"style": {"reason": "…", "score": 4}, …}')    # {"style": 4, …}
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from multifaceted.curation.asked_prompt import AskedPrompt
from multifaceted.fieldtypes import object_schema
from multifaceted.prompts.reply import ReplyError, check_reply, read_json
from multifaceted.prompts.template import load_repair, load_template

SCORES = range(1, 6)
_TRIAL = {
    "prompt": "-",
    "output": "-",
    "preference_set": [{"dimension": "-", "subdimension": "-", "preference": "-", "description": "-"}],
}


def read_reasons(text: str) -> dict[str, str]:
    """Why a judge gave its scores, by dimension, as far as its reply says; empty where it cannot be read."""
    try:
        return read_json(text, _take_reasons)
    except ReplyError:
        return {}


def _take_reasons(data: dict[str, Any]) -> dict[str, str]:
    said = {name: about.get("reason") for name, about in data.items() if isinstance(about, dict)}
    reasons = {name: reason for name, reason in said.items() if isinstance(reason, str) and reason}
    if not reasons:
        raise ReplyError(["there is no reason"])
    return reasons


class _Score(BaseModel):
    model_config = ConfigDict(extra="ignore")

    score: Annotated[int, Field(ge=SCORES[0], le=SCORES[-1])]


_REPLY = TypeAdapter(dict[str, _Score])


@dataclass(frozen=True)
class JudgePrompt(AskedPrompt):
    """The judge's template, and the turn after a reply that does not validate."""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Return the shipped template, or a file of one's own in its place.

        Raises:
            InputError: where it cannot be read, or fails on the values of a row.
        """
        variables = ("instruction", "preferences", "response")
        prompt = cls(load_template("judge", path, variables=variables), load_repair())
        prompt.render(_TRIAL)
        return prompt

    def list_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables of the template."""
        return {
            "instruction": row["prompt"],
            "preferences": row["preference_set"],
            "response": row["output"],
        }

    def parse(self, row: Mapping[str, Any], text: str) -> dict[str, int]:
        """Return the score of each dimension.

        Raises:
            ReplyError: with everything that is wrong with the reply.
        """
        return read_json(
            text, partial(_check_scores, [entry["dimension"] for entry in row["preference_set"]])
        )

    def schema(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """JSON Schema of the reply."""
        score = {"type": "integer", "enum": list(SCORES)}
        one = object_schema({"reason": {"type": "string"}, "score": score})
        return object_schema({entry["dimension"]: one for entry in row["preference_set"]})


def _check_scores(wanted: list[str], data: dict[str, Any]) -> dict[str, int]:
    problems = [f"{name!r} is missing" for name in wanted if name not in data]
    scores = check_reply(_REPLY, {name: data[name] for name in wanted if name in data}, problems)
    return {name: scores[name].score for name in wanted}
