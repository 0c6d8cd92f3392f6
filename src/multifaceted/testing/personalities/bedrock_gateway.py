"""Gateways that hand on what another API says: its endings, and token counts that are not whole numbers."""

from multifaceted.testing.personalities.base import (
    Body,
    Personality,
    add_fields,
    drop_refusal,
    miss_path,
)
from multifaceted.testing.problems import Problem, describe_detail
from multifaceted.testing.replies import Completion

_ENDINGS = {"stop": "end_turn", "length": "max_tokens"}


def _write(completion: Completion, _: Body) -> Completion:
    ending = completion["choices"][0]["finish_reason"]
    usage = completion["usage"]
    completion_tokens = usage["completion_tokens"] + 0.25  # it divides characters by four
    counted = {
        **usage,
        "completion_tokens": completion_tokens,
        "total_tokens": usage["prompt_tokens"] + completion_tokens,
    }
    choice = {"finish_reason": _ENDINGS.get(ending, ending), "logprobs": None}
    return add_fields(drop_refusal(completion), choice=choice, usage=counted)


BEDROCK_GATEWAY = Personality(
    name="bedrock-gateway",
    summary="ends with end_turn or max_tokens; completion_tokens such as 37.25",
    sources=(
        "https://github.com/aws-samples/bedrock-access-gateway/issues/11",
        "https://github.com/philschmid/easyllm/issues/40",
    ),
    write=_write,
    describe=describe_detail,
    wrong_key=lambda _: Problem(401, "Invalid API Key"),
    unknown_model=lambda name: Problem(400, f"Unsupported model {name}, please use models API"),
    overflow=None,
    wrong_path=miss_path,
)
