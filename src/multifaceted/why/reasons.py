"""Why judges gave their scores: the record has the scores, and the replies have the reasons.

Example:
    add_reasons(scores, turns)       # [{"judge": "a-judge", "dimension": "style", "score": 2, "reason": "…"}]
"""

from collections.abc import Sequence
from typing import Any

from multifaceted.curation.asked_spec import JUDGE, name_asker
from multifaceted.curation.judge_prompt import read_reasons
from multifaceted.why.replies import SentRequest


def add_reasons(scores: Sequence[dict[str, Any]], turns: Sequence[SentRequest]) -> list[dict[str, Any]]:
    """The scores of a row, each with what its judge said of it; null where that cannot be read any more.

    Args:
        scores: with `judge`, `dimension` and `score`.
        turns: what the judges were asked; the newest reply that was not set aside counts.
    """
    said: dict[str, dict[str, str]] = {}
    for turn in turns:
        for reply in turn.replies:
            if reply["text"] and not reply["set_aside"]:
                said[turn.stage] = said.get(turn.stage, {}) | read_reasons(reply["text"])
    return [
        {**score, "reason": said.get(name_asker(JUDGE, score["judge"]), {}).get(score["dimension"])}
        for score in scores
    ]
