"""Azure OpenAI under an older API version: no `json_schema`, results of the content filter in every reply."""

from typing import Any

from multifaceted.testing.personalities.base import Body, Personality, add_fields, fail_once, refuse_format
from multifaceted.testing.problems import Problem, describe_openai
from multifaceted.testing.replies import Completion

_HARMS = ("hate", "self_harm", "sexual", "violence")
_SAFE = {harm: {"filtered": False, "severity": "safe"} for harm in _HARMS}
_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key "
    "for an active subscription and use a correct regional API endpoint for your resource."
)
_FORMAT = "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"
_MISSING = (
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 "
    "minutes, please wait a moment and try again."
)
_LIMIT = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-02-01 have "
    "exceeded call rate limit of your current OpenAI S0 pricing tier. Please retry after 1 seconds."
)
_LIMITED = Problem(429, _LIMIT, code="429", headers={"retry-after": "0"})
_FILTERED = Problem(
    400,
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please "
    "modify your prompt and retry.",
    kind=None,
    param="prompt",
    code="content_filter",
    extra={
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _SAFE},
    },
)
_GATEWAY_STATUSES = (401, 404, 429)


def _write(completion: Completion, _: Body) -> Completion:
    filters = [{"prompt_index": 0, "content_filter_results": _SAFE}]
    choice: dict[str, Any] = {"content_filter_results": _SAFE, "logprobs": None}
    return add_fields(completion, choice=choice, prompt_filter_results=filters, system_fingerprint="fp_1")


def _describe(problem: Problem) -> dict[str, Any]:
    if problem.status in _GATEWAY_STATUSES:  # said before the request comes to the model
        return {"error": {"code": problem.code, "message": problem.message}}
    return describe_openai(problem)


AZURE = Personality(
    name="azure",
    summary="refuses json_schema by API version; filter results in every reply; 429 with Retry-After",
    sources=(
        "https://github.com/Azure/azure-sdk-for-net/issues/46579",
        "https://github.com/langgenius/dify/issues/8994",
        "https://github.com/openai/openai-dotnet/issues/55",
        "https://github.com/jasonacox/TinyLLM/issues/17",
    ),
    write=_write,
    describe=_describe,
    wrong_key=lambda _: Problem(401, _DENIED, code="401"),
    unknown_model=lambda _: Problem(404, _MISSING, code="DeploymentNotFound"),
    wrong_path=lambda *_: Problem(404, "Resource not found", code="404"),
    refusals=(refuse_format("json_schema", Problem(400, _FORMAT, kind="", code="BadRequest", param="")),),
    troubles=(fail_once(_LIMITED),),
    one_in=6,
    statuses={400: _FILTERED, 429: _LIMITED},
)
