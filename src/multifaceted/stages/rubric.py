"""`rubric`: of a bench, how to judge a response by each preference.

Example:
    read_rubric(draft, '{"criteria": "Does …?", "score1": "…", …, "score5": "…"}')

It is not written from the reference answer, which it may then judge.
"""

from operator import attrgetter
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from multifaceted.fieldtypes import object_schema
from multifaceted.prompts.reply import FilledText, ReplyError, check_reply, read_json
from multifaceted.records import PreferenceEntry, Rubric, ScoreDescriptions
from multifaceted.stages.base import Draft, Schema, Stage

# What a very small model may write: bounded sentences, as in `preferences`, each score with a beginning of
# its own, for it would write the same one five times.
SMALL_CRITERIA = "^Does the response [a-zA-Z ,;'-]{30,160}\\?$"
SMALL_BEGINNINGS = {
    "score1": "ignores",
    "score2": "hardly follows",
    "score3": "partly follows",
    "score4": "mostly follows",
    "score5": "fully follows",
}


class _RubricReply(BaseModel):
    model_config = ConfigDict(extra="ignore")

    criteria: FilledText
    score1: FilledText
    score2: FilledText
    score3: FilledText
    score4: FilledText
    score5: FilledText


_REPLY = TypeAdapter(_RubricReply)


def rubric_schema(_: Draft, *, small: bool) -> Schema:
    """JSON Schema of a rubric reply, every text bounded for a small model."""
    if not small:
        return object_schema({name: {"type": "string"} for name in _RubricReply.model_fields})
    patterns = {
        name: f"^The response {words} [a-zA-Z ,;'-]{{30,160}}\\.$" for name, words in SMALL_BEGINNINGS.items()
    }
    return object_schema(
        {
            name: {"type": "string", "pattern": pattern}
            for name, pattern in {"criteria": SMALL_CRITERIA, **patterns}.items()
        }
    )


def read_rubric(_: Draft, text: str) -> Rubric:
    """Read a rubric reply.

    Raises:
        ReplyError: with everything that is wrong with it.
    """
    return read_json(text, _check_rubric)


def _check_rubric(data: dict[str, Any]) -> Rubric:
    reply = check_reply(_REPLY, data)
    criteria, *scores = reply.model_dump().values()
    if len(set(scores)) < len(scores):
        raise ReplyError(["two scores have the same description, so that nothing tells them apart"])
    named = {str(score): words for score, words in enumerate(scores, start=1)}
    return Rubric(criteria=criteria, score_descriptions=ScoreDescriptions.model_validate(named))


def _imagine_rubrics(draft: Draft) -> list[Rubric]:
    words = {str(score): f"[what deserves a {score}]" for score in range(1, 6)}
    descriptions = ScoreDescriptions.model_validate(words)
    return [
        Rubric(criteria="[the question that the model writes]", score_descriptions=descriptions)
        for _ in draft.made["preferences"]
    ]


RUBRIC = Stage(
    name="rubric",
    column="rubrics",
    record="rubric",
    description="one for each preference, in the order of `preference_set`",
    annotation=list[Rubric],
    template="rubric",
    tokens=250,  # some 1,000 characters in the original bench (Lee et al. 2024)
    values={name: attrgetter(f"part.{name}") for name in PreferenceEntry.model_fields},
    hidden=frozenset({"response"}),
    per_preference=True,
    schema=rubric_schema,
    read=read_rubric,
    sample=_imagine_rubrics,
)
