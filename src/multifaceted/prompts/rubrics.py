"""The reply that holds a rubric: its schema, and how it is read.

Example:
    parse_rubric('{"criteria": "Does …?", "score1": "…", …, "score5": "…"}')
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from multifaceted.prompts.reply import FilledText, ReplyError, explain_fault, object_schema, read_json_object
from multifaceted.records import Rubric, ScoreDescriptions
from multifaceted.yamlfile import show_path

# What a very small model may write: bounded sentences, as in `stages`, each score with a beginning of its
# own, for it would write the same one five times.
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


def rubric_schema(*, bound: bool) -> dict[str, Any]:
    """JSON Schema of a rubric reply.

    Args:
        bound: bound every text, for models too small to be asked.
    """
    if not bound:
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


def parse_rubric(text: str) -> Rubric:
    """Read a rubric reply.

    Raises:
        ReplyError: with everything that is wrong with it.
    """
    try:
        reply = _RubricReply.model_validate(read_json_object(text))
    except ValidationError as error:
        problems = [f"{show_path(detail['loc'])}: {explain_fault(detail)}" for detail in error.errors()]
        raise ReplyError(problems) from error
    criteria, *scores = reply.model_dump().values()
    if len(set(scores)) < len(scores):
        raise ReplyError(["two scores have the same description, so that nothing tells them apart"])
    named = {str(score): words for score, words in enumerate(scores, start=1)}
    return Rubric(criteria=criteria, score_descriptions=ScoreDescriptions.model_validate(named))
