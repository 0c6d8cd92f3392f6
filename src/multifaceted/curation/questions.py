"""The `questions` part of a curation recipe: chat models say yes or no of each row, beside the rules.

    questions:
      - name: toxic
        question: Does the response insult, threaten or demean anybody?
        models: [{base_url: "http://127.0.0.1:8000/v1", name: a-judge, temperature: 0}]

What was answered is journaled like the replies of judges: another threshold sends no request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from multifaceted.curation.asked_prompt import AskedPrompt
from multifaceted.curation.asked_spec import AskedSpec
from multifaceted.curation.rows import FINDINGS
from multifaceted.fieldtypes import object_schema
from multifaceted.models.fields import Number
from multifaceted.prompts.reply import check_reply, read_json
from multifaceted.prompts.template import load_repair, load_template

UNANSWERED = "unanswered"
YES = "yes"
_VARIABLES = ("question", "instruction", "system", "response")
_TRIAL = {"prompt": "-", "system": "-", "output": "-"}


class QuestionSpec(AskedSpec):
    """A question that is asked of each row; the rows to which the answer is yes are found."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")  # the reason in the record
    question: str = Field(min_length=1)
    threshold: Number = Field(default=0.5, gt=0, le=1)  # the share of the models that say yes

    @property
    def role(self) -> str:
        """Return what they are asked as."""
        return f"question {self.name}"

    @property
    def place(self) -> str:
        """Return the folder of its batches, below that of the curation."""
        return f"questions/{self.name}"

    @property
    def described(self) -> dict[str, Any]:
        """Return what verdicts depend on."""
        return {**super().described, "question": self.question, "threshold": self.threshold}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")

    answer: Literal["yes", "no"]


_REPLY = TypeAdapter(_Answer)


@dataclass(frozen=True)
class QuestionPrompt(AskedPrompt):
    """The template of a question, and the turn after a reply that does not validate."""

    question: str

    @classmethod
    def load(cls, spec: QuestionSpec) -> Self:
        """Return the shipped template, or a file of one's own in its place, for a question.

        Raises:
            InputError: where it cannot be read, or fails on the values of a row.
        """
        template = load_template("question", spec.template, variables=_VARIABLES)
        prompt = cls(template, load_repair(), spec.question)
        prompt.render(_TRIAL)
        return prompt

    def list_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the variables of the template."""
        return {
            "question": self.question,
            "instruction": row["prompt"],
            "system": row["system"],
            "response": row["output"],
        }

    def parse(self, row: Mapping[str, Any], text: str) -> dict[str, int]:
        """Return 1 for yes and 0 for no.

        Raises:
            ReplyError: with everything that is wrong with the reply.
        """
        del row
        return {YES: int(read_json(text, _read_answer) == YES)}

    def schema(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the JSON Schema of a reply."""
        del row
        answer = {"type": "string", "enum": ["yes", "no"]}
        return object_schema({"reason": {"type": "string"}, "answer": answer})


def _read_answer(data: dict[str, Any]) -> str:
    given = data.get("answer")
    plain = given.strip().lower() if isinstance(given, str) else given
    return check_reply(_REPLY, {"answer": plain}, []).answer


def find_yes(scores: Mapping[int, dict[str, dict[str, int]]], spec: QuestionSpec) -> pl.DataFrame:
    """Findings for the rows to which at least `threshold` of the models say yes."""
    found = []
    for position, by_model in scores.items():
        said = [answer[YES] for answer in by_model.values()]
        share = sum(said) / len(said)
        if share >= spec.threshold:
            detail = f"{sum(said)} of {len(said)} say yes"
            found.append((position, spec.name, spec.action, share, None, detail))
    return pl.DataFrame(sorted(found), schema=FINDINGS, orient="row")


def note_unanswered(unanswered: Mapping[Any, list[str]], spec: QuestionSpec) -> pl.DataFrame:
    """Findings, to note only, for the rows that a model did not answer."""
    rows = [
        (position, UNANSWERED, "note", None, None, f"{spec.name}: {fault}")
        for position, faults in sorted(unanswered.items())
        for fault in faults
    ]
    return pl.DataFrame(rows, schema=FINDINGS, orient="row")
