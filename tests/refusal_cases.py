# ruff: noqa: E501 - words as they came
"""What endpoints of many makers say when they refuse a request, and what is to be written differently.

The comment above each names where it was seen in public; the words are shortened.
"""

import json
from typing import Any


def error(message: str, **more: Any) -> str:
    return json.dumps({"error": {"message": message, "type": "invalid_request_error", **more}})


# Status, body, and what is different in the next request.
REFUSALS: list[tuple[int, str, list[str]]] = [
    # https://github.com/ThinkInAIXYZ/deepchat/issues/336
    (400, error("Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", param="max_tokens"), ["rename"]),
    # https://github.com/appatalks/eva-agent/issues/83
    (400, error("Unsupported parameter: 'temperature' is not supported with this model.", param="temperature"), ["drop temperature"]),
    # https://github.com/devoxx/DevoxxGenieIDEAPlugin/issues/1240
    (400, json.dumps({"message": "Unsupported parameter: 'top_p' is not supported with this model.", "param": "top_p"}), ["drop top_p"]),
    # OpenAI's reasoning models
    (400, error("Unsupported value: 'temperature' does not support 0.6 with this model. Only the default (1) value is supported.", param="temperature"), ["drop temperature"]),
    # https://github.com/Lambdua/openai4j/issues/62
    (400, error("Unsupported value: 'messages[0].role' does not support 'system' with this model.", param="messages[0].role"), ["fold"]),
    # https://github.com/RooCodeInc/Roo-Code/issues/12162: an error in an error in an error
    (400, error('litellm.BadRequestError: BedrockException - {"message":"The model returned the following errors: {\\"type\\":\\"error\\",\\"error\\":{\\"message\\":\\"`temperature` is deprecated for this model.\\"}}"}'), ["drop temperature"]),
    # https://github.com/skydiscover-ai/skydiscover/issues/15
    (400, error("`temperature` and `top_p` cannot both be specified for this model. Please use only one."), ["drop top_p"]),
    # https://learn.microsoft.com/azure/ai-services/openai/how-to/structured-outputs
    (400, error("response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later", code="BadRequest"), ["format json_object"]),
    # https://github.com/ggml-org/llama.cpp/issues/23463: llama-cpp-python
    (500, error("[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}]"), ["format json_object"]),
    # https://github.com/ikawrakow/ik_llama.cpp/issues/778
    (500, error('response_format type must be one of "text" or "json_object", but got: json_schema', code=500), ["format json_object"]),
    # https://github.com/ItzCrazyKns/Vane/issues/969
    (400, error("This response_format type is unavailable now"), ["format json_object"]),
    # https://github.com/browser-use/browser-use/pull/215
    (422, "Failed to deserialize the JSON body into the target type: response_format: response_format.type `json_schema` is unavailable now at line 1 column 12440", ["format json_object"]),
    # https://github.com/agno-agi/agno/issues/2553
    (400, error("invalid value: `json_schema`, supported values are: `json_object` and `text`.", param="response_format.type"), ["format json_object"]),
    # https://github.com/AgnostiqHQ/multi-agent-llm/issues/2
    (400, error("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."), ["format json_object"]),
    # https://github.com/musistudio/claude-code-router/issues/708
    (400, json.dumps({"message": "Unsupported JSON schema fields: {'minItems', 'items'}", "param": "response_format", "code": "wrong_api_format"}), ["format json_object"]),
    # https://github.com/vllm-project/vllm/issues/16321
    (400, json.dumps({"object": "error", "message": "The provided JSON schema contains features not supported by xgrammar."}), ["format json_object"]),
    # https://github.com/lidge-jun/opencodex/issues/2135
    (400, error("Failed to initialize samplers: failed to parse grammar", code=400), ["format json_object"]),
    # https://community.openai.com, structured outputs
    (400, error("Invalid schema for response_format 'preferences': In context=(), 'additionalProperties' is required to be supplied and to be false.", param="response_format"), ["format json_object"]),
    # https://github.com/musistudio/claude-code-router/issues/187
    (400, '[{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \\"additionalProperties\\" at \'generation_config.response_schema\': Cannot find field."}}]', ["format json_object"]),
    # https://openrouter.ai/docs/features/structured-outputs: a 404
    (404, error("No endpoints found that support response_format", code=404), ["format json_object"]),
    # the same, which names no parameter at all: what costs least is tried first
    (404, error("No endpoints found that can handle the requested parameters.", code=404), ["drop seed"]),
    # https://github.com/langchain-ai/langchain-azure/issues/82
    (422, '{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted","input":123}]}', ["drop seed"]),
    # https://github.com/mistralai/platform-docs-public/issues/7: JSON in a string
    (422, json.dumps({"object": "error", "message": json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]})}), ["drop seed"]),
    # https://github.com/1Panel-dev/MaxKB/issues/2912: the errors of pydantic as Python prints them
    (400, error("[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted', 'input': 800}]"), ["drop seed"]),
    # https://docs.litellm.ai/docs/completion/drop_params
    (400, error("litellm.UnsupportedParamsError: bedrock does not support parameters: ['seed'], for model=x. To drop these, set `litellm.drop_params=True`"), ["drop seed"]),
    # https://github.com/MinLL/SkyrimNet-GamePlugin/issues/77: Gemini
    (400, '[{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \\"seed\\": Cannot find field."}}]', ["drop seed"]),
    # https://github.com/infiniflow/ragflow/issues/11021: vLLM with Mistral's templates
    (400, error("Conversation roles must alternate user/assistant/user/assistant/..."), ["fold"]),
    # https://github.com/anomalyco/opencode/issues/5034: llama.cpp
    (500, error("Only user, assistant and tool roles are supported, got system", code=500), ["fold"]),
    # Gemma's template
    (400, error("System role not supported"), ["fold"]),
    # https://github.com/0xPlaygrounds/rig/issues/788
    (400, '[{"error": {"code": 400, "message": "Developer instruction is not enabled for models/gemma-3-27b-it"}}]', ["fold"]),
    # https://github.com/neo4j-labs/llm-graph-builder/issues/555
    (400, error("The input system_instruction is not supported."), ["fold"]),
    # OpenAI
    (400, error("max_tokens is too large: 4096. This model supports at most 2048 completion tokens, whereas you provided 4096.", param="max_tokens"), ["limit 2048"]),
    # https://github.com/skapadia3214/groq-moa/issues/8
    (400, error("max_tokens for `llama-3.1-8b-instant` must be less than or equal to 2000"), ["limit 2000"]),
    # https://github.com/DaviRain-Su/hyper-grok-build/issues/44
    (400, error("max_tokens (4096) exceeds model's maximum output tokens (1024) for model deepseek"), ["limit 1024"]),
    # https://github.com/ogx-ai/ogx/issues/4534: vLLM
    (400, json.dumps({"message": "This model's maximum context length is 6048 tokens. However, you requested 6616 tokens (2520 in the messages, 4096 in the completion)."}), ["limit 3528"]),
    # https://github.com/vllm-project/vllm/issues/42474: the length of the prompt is not told
    (400, error("This model's maximum context length is 8192 tokens. However, you requested 4096 output tokens and your prompt contains at least 4097 input tokens, for a total of at least 8193 tokens."), ["limit 2048"]),
    # https://github.com/OpenHands/OpenHands/issues/9937: OpenRouter; it only reckons
    (400, error("This endpoint's maximum context length is 6000 tokens. However, you requested about 8080 tokens (3984 of text input, 4096 in the output)."), ["limit 2016"]),
    # https://github.com/anomalyco/opencode/pull/25292: SGLang
    (400, error("Requested token count exceeds the model's maximum context length of 8192 tokens. You requested a total of 9096 tokens: 5000 tokens from the input messages and 4096 tokens for the completion."), ["limit 3192"]),
    # https://github.com/stanford-crfm/helm/pull/2079: Together, TGI
    (422, error("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4097. Given: 2019 `inputs` tokens and 4096 `max_new_tokens`"), ["limit 2078"]),
    # Anthropic
    (400, error("input length and `max_tokens` exceed context limit: 197000 + 4096 > 200000, decrease input length or `max_tokens` and try again"), ["limit 3000"]),
    # vLLM
    (400, error("'max_tokens' or 'max_completion_tokens' is too large: 4096. This model's maximum context length is 8192 tokens and your request has 5000 input tokens (4096 > 8192 - 5000)."), ["limit 3192"]),
    # Databricks
    (400, error("Requested generation length 4096 is not possible! The provided prompt is 6125 tokens long, so generating 4096 tokens requires a sequence length of 10221, but the maximum supported sequence length is just 8192!"), ["limit 2067"]),
    # xAI, https://github.com/BerriAI/litellm/issues/14056
    (400, '{"code":"Client specified an invalid argument","error":"Argument not supported on this model: seed"}', ["drop seed"]),
    # https://github.com/BerriAI/litellm/issues/7533
    (400, error("Extra inputs are not permitted, field: 'response_format.schema_field', value: None"), ["format json_object"]),
    # TGI
    (422, "Failed to deserialize the JSON body into the target type: response_format: unknown variant `json_schema`, expected one of `json`, `regex`", ["format json_object"]),
    # https://github.com/FlowiseAI/Flowise/issues/2006
    (400, error('messages: roles must alternate between "user" and "assistant", but found multiple "user" roles in a row'), ["fold"]),
    # pydantic's way to say the same
    (422, '{"detail":[{"type":"literal_error","loc":["body","messages",0,"role"],"msg":"Input should be \'user\' or \'assistant\'","input":"system"}]}', ["fold"]),
    # OpenRouter hands on what a provider says
    (400, '{"error":{"message":"Provider returned error","metadata":{"raw":"{\\"error\\":{\\"message\\":\\"response_format is not supported\\"}}"}}}', ["format json_object"]),
    # https://github.com/groq (context_length_exceeded): nothing tells by how much
    (400, error("Please reduce the length of the messages or completion.", code="context_length_exceeded"), ["limit 2048"]),
    # the prompt alone is too long: nothing to be written differently
    # https://github.com/fedora-copr/logdetective/issues/100
    (400, error("Requested tokens (2138) exceed context window of 2048"), []),
    # https://github.com/ggml-org/llama.cpp/issues/19774
    (400, error("request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it", n_ctx=4096), []),
    # https://github.com/webtimemachine/wtm2/issues/579
    (400, error("This model's maximum context length is 128000 tokens. However, your messages resulted in 204308 tokens."), []),
    # nothing of the kind
    (400, error("API key not valid. Please pass a valid API key."), []),  # https://github.com/BerriAI/litellm/issues/3356
    (400, error("No connected db.", code="400"), []),  # https://github.com/BerriAI/litellm/pull/20837
    (404, error("The model `x` does not exist or you do not have access to it.", code="model_not_found"), []),
    (422, '{"detail":[{"type":"extra_forbidden","loc":["body","tools"],"msg":"Extra inputs are not permitted"}]}', []),
    (400, '<html><body role="main"><h1>400 Bad Request</h1><center>nginx</center></body></html>', []),
    (500, error("CUDA out of memory. Internal system error."), []),
    (401, error("Incorrect API key provided, see the parameter temperature"), []),
    (429, error("Rate limit reached for max_tokens"), []),
    (503, error("response_format is unavailable"), []),
]  # fmt: skip
