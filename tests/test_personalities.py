"""The personalities of the test server: their raw answers, as the sources that each names show them."""

import asyncio
import http.client
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from openai import AsyncOpenAI

from multifaceted.testing import BatchFault, ChatServer, Fault, list_personalities, make_reply
from multifaceted.testing.__main__ import main
from multifaceted.testing.asked import read_asked_schema
from multifaceted.testing.personalities import find_personality

CHAT = "/v1/chat/completions"
PEOPLE = list_personalities()
NAMES = [person.name for person in PEOPLE]
TROUBLED = [person.name for person in PEOPLE if person.troubles]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "sure": {"type": "boolean"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
LONG = [{"role": "user", "content": "word " * 400}]  # 508 tokens, as the server counts them


class Got(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def choice(self) -> Any:
        return self.json["choices"][0]


def post(
    server: ChatServer | int, *, path: str = CHAT, method: str = "POST", key: str = "", **changes: Any
) -> Got:
    body = {"model": "some-model", "messages": [{"role": "user", "content": "Why?"}], **changes}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    connection = http.client.HTTPConnection(
        "127.0.0.1", server if isinstance(server, int) else server.port, timeout=5
    )
    connection.request(method, path, json.dumps(body), headers)
    response = connection.getresponse()
    got = Got(response.status, {n.lower(): v for n, v in response.getheaders()}, response.read().decode())
    connection.close()
    return got


@pytest.fixture(scope="module")
def shared() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running


def ask(number: int, *, words: str = "Why?") -> list[dict[str, str]]:
    """The messages of one request out of many; some endpoints take no seed that would tell them apart."""
    return [{"role": "user", "content": f"{number}. {words}"}]


def become(server: ChatServer, like: str, **settings: Any) -> ChatServer:
    """The shared server as another one; what is not named is as it was made."""
    ordinary = {"api_key": None, "models": None, "context_tokens": None, "fault": None, "refuse": ()}
    for name, value in {"like": like, **ordinary, **settings}.items():
        setattr(server, name, value)
    return server


# Completions

WRITTEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [  # name, fields of the choice, fields at the top
    ("openai", {"finish_reason": "stop"}, {"object": "chat.completion"}),
    ("vllm", {"logprobs": None, "stop_reason": None, "token_ids": None}, {"kv_transfer_params": None}),
    ("llama-cpp-python", {"finish_reason": "stop", "logprobs": None}, {"object": "chat.completion"}),
    ("llama-cpp", {"finish_reason": "stop"}, {"model": "model.gguf", "system_fingerprint": "b0-unknown"}),
    ("ollama", {"finish_reason": "stop"}, {"system_fingerprint": "fp_ollama"}),
    ("lm-studio", {"logprobs": None}, {"stats": {}, "system_fingerprint": "some-model"}),
    ("litellm", {"provider_specific_fields": {}}, {"system_fingerprint": None}),
    ("openrouter", {"finish_reason": "stop", "logprobs": None}, {"provider": "Some Provider"}),
    ("azure", {"logprobs": None}, {"system_fingerprint": "fp_1"}),
    ("bedrock-gateway", {"finish_reason": "end_turn"}, {}),
]


@pytest.mark.parametrize(("like", "choice", "top"), WRITTEN, ids=[case[0] for case in WRITTEN])
def test_a_completion_has_the_fields_of_its_endpoint(
    shared: ChatServer, like: str, choice: dict[str, Any], top: dict[str, Any]
) -> None:
    answers = [post(become(shared, like), messages=ask(number)) for number in range(12)]
    [got, *_] = [got for got in answers if got.status == 200 and got.text.startswith("{")]
    assert choice.items() <= got.choice.items()
    assert top.items() <= got.json.items()


def test_usage_is_null_fractional_or_more_than_its_parts_as_endpoints_have_it(shared: ChatServer) -> None:
    assert post(become(shared, "vllm")).json["usage"]["prompt_tokens_details"] is None
    usage = post(become(shared, "bedrock-gateway")).json["usage"]
    assert usage["completion_tokens"] % 1 == 0.25
    gemini = post(become(shared, "gemini"), messages=LONG).json["usage"]
    assert gemini["total_tokens"] == gemini["prompt_tokens"] + gemini["completion_tokens"] + 60


@pytest.mark.parametrize(
    ("like", "format_", "pattern"),
    [
        ("llama-cpp", JSON_SCHEMA, r'\{\n  "city": "[^"]+",\n  "sure": (true|false)\n\}'),
        ("anthropic", JSON_SCHEMA, r"You .*"),  # it is ignored, and the prompt asks for no JSON
        ("openai", JSON_SCHEMA, r'\{"city": "[^"]+", "sure": (true|false)\}'),
    ],
)
def test_a_schema_is_answered_as_the_endpoint_does(
    shared: ChatServer, like: str, format_: dict[str, Any], pattern: str
) -> None:
    become(shared, like)
    contents = [post(shared, seed=seed, response_format=format_) for seed in range(2)]
    [content, *_] = [got.choice["message"]["content"] for got in contents if got.status == 200]
    assert re.fullmatch(pattern, content)


def collect(server: ChatServer, *, words: str = "Why?", **changes: Any) -> list[Any]:
    """The messages of the replies to two dozen requests."""
    answers = [post(server, messages=ask(number, words=words), **changes) for number in range(24)]
    return [got.choice["message"] for got in answers if got.status == 200]


WANTS_JSON = "It has exactly these keys: city, mood, all of them text."


def test_gemini_spoils_json_that_no_schema_holds_in_each_of_its_ways(shared: ChatServer) -> None:
    texts = [message["content"] for message in collect(become(shared, "gemini"), words=WANTS_JSON)]
    assert any(text.startswith("Here is the JSON object:\n\n```json\n") for text in texts)
    broken = [text for text in texts if re.search(r'"[A-Za-z]+\n[a-z]', text)]
    assert broken
    with pytest.raises(ValueError, match="Invalid control character"):
        json.loads(broken[0])
    assert json.loads(broken[0], strict=False).keys() == {"city", "mood"}


def test_deepseek_thinks_in_tags_before_a_closing_tag_alone_and_in_a_field(shared: ChatServer) -> None:
    messages = collect(become(shared, "deepseek-r1"), words=WANTS_JSON)
    contents = [message["content"] for message in messages]
    assert any(text.startswith("<think>\n") for text in contents)
    assert any("</think>\n\n{" in text and "<think>" not in text for text in contents)
    [beside, *_] = [message for message in messages if "reasoning_content" in message]
    assert json.loads(beside["content"]).keys() == {"city", "mood"}
    tagged = next(text for text in contents if "</think>" in text)
    thoughts, answer = tagged.split("</think>")
    assert '{"city": "a first draft", "mood": "a first draft"}' in thoughts
    assert "draft" not in json.loads(answer)["city"]


def test_ollama_thinks_in_a_field_where_the_model_does(shared: ChatServer) -> None:
    plain, thinking = (
        collect(become(shared, "ollama"), model=model)[0] for model in ("llama3.1:8b", "deepseek-r1:8b")
    )
    assert plain.keys() == {"role", "content"}
    assert thinking["reasoning"].startswith("Okay, ")
    assert thinking["content"] == plain["content"]


def test_mistral_answers_in_parts_with_thoughts_first(shared: ChatServer) -> None:
    become(shared, "mistral")
    content = collect(shared)[0]["content"]
    assert [part["type"] for part in content] == ["thinking", "text"]
    assert content[1]["text"].startswith("You ")


def test_openrouter_sends_comments_or_blank_lines_before_some_bodies(shared: ChatServer) -> None:
    texts = [post(become(shared, "openrouter"), seed=seed).text for seed in range(12)]
    assert {text[:23] for text in texts if not text.startswith("{")} == {
        ": OPENROUTER PROCESSING",
        "\n         \n\n         \n{",
    }
    natives = {
        json.loads(text[text.index("{") :]).get("choices", [{}])[0].get("native_finish_reason")
        for text in texts
    }
    assert {"stop", "end_turn", "STOP", "eos"} & natives


def test_unsloth_sends_events_that_the_sdk_puts_together(shared: ChatServer) -> None:
    got = post(become(shared, "unsloth"), seed=3)
    assert got.headers["content-type"].startswith("text/event-stream")
    *events, done = got.text.strip().split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    pieces = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert "".join(pieces) == make_reply({"messages": [{"role": "user", "content": "Why?"}], "seed": 3})
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] > 0

    async def stream() -> str:
        async with AsyncOpenAI(base_url=shared.base_url, api_key="none") as client:
            messages: Any = [{"role": "user", "content": "Why?"}]
            parts = await client.chat.completions.create(model="m", messages=messages, seed=3, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in parts if c.choices])

    assert asyncio.run(stream()) == "".join(pieces)


# Refusals


def openai_error(
    message: str, kind: str | None, code: str | None, param: str | None = None
) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


OVERFLOW = "request (508 tokens) exceeds the available context size (100 tokens), try increasing it"
AZURE_FORMAT = (
    "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"
)
BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
GEMINI_SEED = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
GEMINI_KEY = "API key not valid. Please pass a valid API key."
LM_FORMAT = "'response_format.type' must be 'json_schema' or 'text'"
NEEDS_KEY = {"api_key": "right"}
NEEDS_MODEL = {"models": ("another",)}
GEMMA = {"model": "gemma-2-9b-it", "messages": [{"role": "system", "content": "You."}, *LONG]}
Case = tuple[str, dict[str, Any], dict[str, Any], int, Any]  # name, settings, request, status, body
INVALID = "invalid_request_error"
REFUSED: list[Case] = [
    ("vllm", NEEDS_KEY, {"key": "wrong"}, 401, {"error": "Unauthorized"}),
    (
        "vllm",
        NEEDS_MODEL,
        {},
        404,
        {
            "error": {
                "message": "The model `some-model` does not exist.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        },
    ),
    (
        "vllm",
        {},
        GEMMA,
        400,
        {
            "error": {
                "message": "System role not supported",
                "type": "BadRequestError",
                "param": None,
                "code": 400,
            }
        },
    ),
    (
        "llama-cpp",
        NEEDS_KEY,
        {"key": "wrong"},
        401,
        {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}},
    ),
    (
        "llama-cpp",
        {"context_tokens": 100},
        {"messages": LONG},
        400,
        {
            "error": {
                "code": 400,
                "message": OVERFLOW,
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 508,
                "n_ctx": 100,
            }
        },
    ),
    (
        "vllm",
        {},
        {"temperature": 3.0},
        400,
        {
            "error": {
                "message": "temperature must be in [0, 2], got 3.0. (parameter=temperature, value=3.0)",
                "type": "BadRequestError",
                "param": "temperature",
                "code": 400,
            }
        },
    ),
    ("llama-cpp-python", NEEDS_KEY, {"key": "wrong"}, 401, {"detail": "Invalid API key"}),
    (
        "llama-cpp-python",
        {},
        GEMMA,
        500,
        openai_error("System role not supported", "internal_server_error", None),
    ),
    (
        "ollama",
        NEEDS_MODEL,
        {},
        404,
        openai_error('model "some-model" not found, try pulling it first', "not_found_error", None),
    ),
    ("lm-studio", {}, {"response_format": {"type": "json_object"}}, 400, {"error": LM_FORMAT}),
    (
        "lm-studio",
        {},
        {"path": "/chat/completions"},
        200,
        {"error": "Unexpected endpoint or method. (POST /chat/completions)"},
    ),
    (
        "litellm",
        NEEDS_KEY,
        {"key": "wrong"},
        400,
        {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}},
    ),
    ("litellm", {}, {"path": "/v1/nothing"}, 404, {"detail": "Not Found"}),
    ("litellm", {}, {"method": "GET"}, 405, {"detail": "Method Not Allowed"}),
    ("openrouter", NEEDS_KEY, {"key": "wrong"}, 401, {"error": {"message": "User not found.", "code": 401}}),
    (
        "openrouter",
        NEEDS_MODEL,
        {},
        400,
        {"error": {"message": "some-model is not a valid model ID", "code": 400}},
    ),
    (
        "azure",
        {},
        {"response_format": JSON_SCHEMA},
        400,
        {"error": {"message": AZURE_FORMAT, "type": "", "param": "", "code": "BadRequest"}},
    ),
    (
        "gemini",
        NEEDS_KEY,
        {"key": "wrong"},
        400,
        [{"error": {"code": 400, "message": GEMINI_KEY, "status": "INVALID_ARGUMENT"}}],
    ),
    (
        "gemini",
        {},
        {"seed": 1},
        400,
        [{"error": {"code": 400, "message": GEMINI_SEED, "status": "INVALID_ARGUMENT"}}],
    ),
    ("anthropic", {}, {"temperature": 1.0, "top_p": 0.9}, 400, openai_error(BOTH, INVALID, INVALID)),
    (
        "anthropic",
        NEEDS_KEY,
        {"key": "wrong"},
        401,
        openai_error("invalid x-api-key", "authentication_error", "authentication_error"),
    ),
    (
        "mistral",
        {},
        {"seed": 7},
        422,
        {
            "object": "error",
            "message": {
                "detail": [
                    {
                        "type": "extra_forbidden",
                        "loc": ["body", "seed"],
                        "msg": "Extra inputs are not permitted",
                        "input": 7,
                    }
                ]
            },
            "type": INVALID,
            "param": None,
            "code": None,
        },
    ),
]


@pytest.mark.parametrize("case", REFUSED, ids=[f"{c[0]}-{c[3]}" for c in REFUSED])
def test_a_refusal_is_word_for_word_what_the_endpoint_says(shared: ChatServer, case: Case) -> None:
    like, settings, request_, status, body = case
    paid = shared.paid.total()
    got = post(become(shared, like, **settings), **request_)
    assert (got.status, got.json) == (status, body)
    assert shared.paid.total() == paid


def test_llama_cpp_python_names_the_response_format_under_500(shared: ChatServer) -> None:
    got = post(become(shared, "llama-cpp-python"), response_format=JSON_SCHEMA)
    assert (got.status, got.json["error"]["type"]) == (500, "internal_server_error")
    assert "('body', 'response_format', 'type')" in got.json["error"]["message"]
    assert post(shared, response_format={"type": "json_object"}).status == 200


def test_a_body_that_is_no_json_is_refused(shared: ChatServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", become(shared, "gemini").port, timeout=5)
    connection.request("POST", CHAT, "{not json")
    response = connection.getresponse()
    [problem] = json.loads(response.read())
    connection.close()
    assert (response.status, problem["error"]["status"]) == (400, "invalid_request_error")


def test_litellm_stumbles_over_a_request_without_any_key(shared: ChatServer) -> None:
    got = post(become(shared, "litellm", **NEEDS_KEY))
    assert (got.status, got.text) == (500, "Internal Server Error")


@pytest.mark.parametrize(
    ("like", "limit", "words"),
    [
        ("openai", 1200, "However, you requested 1508 tokens (508 in the messages, 1000 in the completion)."),
        ("vllm", 1200, "is too large: 1000. This model's maximum context length is 1200 tokens"),
        ("vllm", 900, "max_tokens=1000 cannot be greater than max_model_len=900. Please request fewer"),
        ("anthropic", 1200, "exceed context limit: 508 + 1000 > 1200"),
    ],
)
def test_a_max_tokens_beyond_the_context_is_refused_in_the_endpoints_words(
    shared: ChatServer, like: str, limit: int, words: str
) -> None:
    become(shared, like, context_tokens=limit)
    assert words in post(shared, messages=LONG, max_tokens=1000).text
    assert post(shared, messages=LONG, max_tokens=300).status in (200, 529)


@pytest.mark.parametrize("like", ["llama-cpp", "ollama", "bedrock-gateway"])
def test_other_endpoints_cut_the_reply_where_the_context_ends(shared: ChatServer, like: str) -> None:
    become(shared, like, context_tokens=513)
    choices = [post(shared, messages=LONG, max_tokens=1000, seed=seed) for seed in range(6)]
    [got, *_] = [got for got in choices if got.status == 200]
    assert got.choice["finish_reason"] == ("max_tokens" if like == "bedrock-gateway" else "length")
    assert len(got.choice["message"]["content"]) == 20


def test_a_gemini_reply_that_is_cut_has_no_content(shared: ChatServer) -> None:
    become(shared, "gemini", context_tokens=540)
    answers = [post(shared, messages=[*LONG, *ask(number)]) for number in range(3)]
    [got, *_] = [got for got in answers if got.status == 200]
    assert got.choice == {"index": 0, "finish_reason": "length", "message": {"role": "assistant"}}


# Troubles


@pytest.mark.parametrize("like", TROUBLED)
def test_each_trouble_comes_once_and_is_not_paid(like: str) -> None:
    person = find_personality(like)
    with ChatServer(like=like) as server:
        messages = [ask(number) for number in range(80)]
        chosen = {person.choose_trouble({"messages": asked, "seed": None}): asked for asked in messages}
        assert {trouble for trouble in chosen if trouble} == set(person.troubles)
        for trouble, asked in chosen.items():
            first, second = (post(server, messages=asked) for _ in range(2))
            assert (first.text == second.text) == (trouble is None)
            assert second.status == 200
    assert sum(server.paid.values()) == len(chosen) + 1  # both of the one without trouble


def see_trouble(like: str) -> list[Got]:
    with ChatServer(like=like) as server:
        troubled = [
            m for m in map(ask, range(60)) if server.personality.choose_trouble({"messages": m, "seed": None})
        ]
        return [post(server, messages=messages) for messages in troubled]


def test_openrouter_breaks_off_a_choice_and_puts_errors_into_a_200() -> None:
    seen = [(got.status, json.loads(got.text[got.text.index("{") :])) for got in see_trouble("openrouter")]
    inside = [body["error"]["code"] for status, body in seen if status == 200 and "error" in body]
    broken = [body["choices"][0] for _, body in seen if "choices" in body]
    limited = [body["error"]["metadata"] for status, body in seen if status == 429]
    assert set(inside) == {502}
    assert {choice["finish_reason"] for choice in broken} == {"error"}
    assert {choice["error"]["code"] for choice in broken} == {502}
    assert "temporarily rate-limited upstream" in limited[0]["raw"]


def test_overload_has_each_endpoints_number_and_shape() -> None:
    assert {got.status for got in see_trouble("anthropic")} == {529}
    assert see_trouble("anthropic")[0].json["error"]["type"] == "overloaded_error"
    assert {got.status for got in see_trouble("gemini")} == {429, 503}
    details = [got.json[0]["error"].get("details") for got in see_trouble("gemini") if got.status == 429]
    assert details[0][0]["retryDelay"] == "1s"
    assert {got.headers.get("retry-after") for got in see_trouble("azure")} == {"0"}
    endings = {got.choice["finish_reason"] for got in see_trouble("deepseek-r1") if got.status == 200}
    assert endings == {"insufficient_system_resource"}


def test_cloudflare_answers_with_pages_under_many_numbers() -> None:
    pages = see_trouble("cloudflare")
    assert {got.status for got in pages} == {200, 520, 522, 524, 525, 529}
    assert {got.headers["content-type"] for got in pages} == {"text/html; charset=utf-8"}
    assert all(f"| {got.status}: " in got.text for got in pages)


# What all have in common


@pytest.mark.parametrize("like", NAMES)
def test_equal_requests_get_equal_answers_of_another_server(like: str) -> None:
    texts = []
    for _ in range(2):
        with ChatServer(like=like) as server:
            texts.append([post(server, seed=seed, temperature=1.0).text for seed in range(5)])
    assert texts[0] == texts[1]


def test_personalities_are_listed_with_a_line_and_their_sources() -> None:
    asked = ("vllm", "llama-cpp", "llama-cpp-python", "ollama", "lm-studio", "litellm", "openrouter", "azure")
    assert {*asked, "gemini", "anthropic", "deepseek-r1", "cloudflare"} < set(NAMES)
    assert len(set(NAMES)) == len(NAMES)
    for person in PEOPLE:
        assert 10 < len(person.summary) < 100
        assert "\n" not in person.summary
        assert all(source.startswith("https://") for source in person.sources)
        assert person.sources


def test_an_unknown_personality_is_refused_with_the_nearest(shared: ChatServer) -> None:
    with pytest.raises(ValueError, match=r"no personality 'lite-llm'; did you mean 'litellm'\?"):
        ChatServer(like="lite-llm")
    become(shared, "azure")
    with pytest.raises(ValueError, match="known here: openai, vllm"):
        shared.like = "zzz"
    assert shared.like == "azure"


def test_a_limit_is_told_in_the_personalitys_words_with_the_servers_own_wait() -> None:
    with ChatServer(like="gemini", requests_per_minute=0.0, retry_after=3) as server:
        got = post(server)
        assert (got.status, got.headers["retry-after"]) == (429, "3")
        assert got.json[0]["error"]["status"] == "RESOURCE_EXHAUSTED"
        server.like = "openai"
        assert post(server).json["error"]["code"] == "rate_limit_exceeded"


def test_a_batch_is_answered_alike_but_for_what_keeps_a_connection_alive() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
    lines = [
        {"custom_id": f"r{n}", "method": "POST", "url": CHAT, "body": {**body, "seed": n}} for n in range(4)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()

    async def do(server: ChatServer) -> str:
        async with AsyncOpenAI(base_url=server.base_url, api_key="none") as client:
            file = await client.files.create(file=("in.jsonl", content), purpose="batch")
            batch = await client.batches.create(
                input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
            )
            done = await client.batches.retrieve(batch.id)
            return (await client.files.content(done.output_file_id or "")).text

    with ChatServer(like="unsloth", batch_fault=lambda *_: BatchFault(order="kept")) as server:
        results = [json.loads(line)["response"]["body"] for line in asyncio.run(do(server)).splitlines()]
    assert [r["choices"][0]["message"]["content"] for r in results] == [
        make_reply(line["body"])  # type: ignore[arg-type]
        for line in lines
    ]


# Faults

FAULTS: list[tuple[Fault, str]] = [
    (Fault(thoughts="A draft."), r'"content": "<think>\\nA draft\.\\n</think>\\n\\nYou '),
    (Fault(reasoning="Well."), r'"content": "You [^"]*", "refusal": null, "reasoning_content": "Well\."'),
    (Fault(parts=True), r'"content": \[\{"type": "text", "text": "You '),
    (Fault(usage=None), r'"usage": null'),
    (Fault(usage={"completion_tokens": -3}), r'"usage": \{"completion_tokens": -3\}'),
    (
        Fault(finish_reason="error", choice_error={"code": 502}),
        r'"finish_reason": "error", "error": \{"code": 502\}',
    ),
    (Fault(status=402, in_200=True), r'^\{"error": \{"message": "the server misbehaves on demand"'),
    (Fault(status=502, html=True), r"<title>api\.example\.com \| 502: Bad Gateway</title>"),
    (Fault(sse=True), r"\Adata: \{.*\n\ndata: \[DONE\]\n\n\Z"),
]


@pytest.mark.parametrize(("fault", "pattern"), FAULTS, ids=[str(fault)[6:40] for fault, _ in FAULTS])
def test_a_fault_does_what_it_says(shared: ChatServer, fault: Fault, pattern: str) -> None:
    got = post(become(shared, "openai", fault=lambda _: fault))
    assert re.search(pattern, got.text, re.DOTALL)
    assert got.status == (502 if fault.html else 200)


def test_a_fault_may_leave_usage_out_and_is_told_in_the_personalitys_words(shared: ChatServer) -> None:
    assert "usage" not in post(become(shared, "openai", fault=lambda _: Fault(usage="absent"))).json
    got = post(become(shared, "openrouter", fault=lambda _: Fault(status=402, in_200=True)))
    assert (got.status, got.json["error"]["code"]) == (200, 402)
    assert got.json["error"]["message"].startswith("Insufficient credits")


# Prompts that ask for JSON without a schema

SCORES = (
    'exactly these keys: x, y. The value of each is an object with the keys "reason" (one sentence) '
    'and "score" (a whole number from 1 to 5).'
)


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (
            "It has exactly these keys: a, b, all of them text.",
            {"a": {"type": "string"}, "b": {"type": "string"}},
        ),
        (
            SCORES,
            {"reason": {"type": "string"}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
        ),
        ("Tell me about keys.", None),
    ],
)
def test_the_keys_that_a_prompt_names_are_read(text: str, schema: dict[str, Any] | None) -> None:
    found = read_asked_schema([{"role": "system", "content": text}, {"role": "user", "content": "Go."}])
    if schema is None:
        assert found is None
    else:
        assert found is not None
        inner = found["properties"].get("x")
        assert (found["properties"] if inner is None else inner["properties"]) == schema


# The command line


def test_the_command_line_serves_until_it_is_interrupted() -> None:
    command = [sys.executable, "-m", "multifaceted.testing", "--like", "lm-studio", "--model", "known"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:(\d+)/v1 like lm-studio", process.stdout.readline())
    assert found
    assert post(int(found[1])).status == 400
    assert post(int(found[1]), model="known").status == 200
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert rest == "2 requests, 1 answered whole, 0 of these again (1 of 200, 1 of 400)\n"


def test_the_command_line_lists_personalities_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    for words, status in ((["--help"], 0), (["--like", "olama"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == status
    shown = capsys.readouterr()
    assert all(f"  {person.name}" in shown.out and person.summary in shown.out for person in PEOPLE)
    assert "no personality 'olama'; did you mean 'ollama'?" in shown.err
