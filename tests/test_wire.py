"""How endpoints want requests written: what is read from refusals of many makers, and what is made of it."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import pytest
from openai import AsyncOpenAI
from refusal_cases import REFUSALS, error

from multifaceted.chat.capabilities import Attempt, Capabilities
from multifaceted.chat.live import LiveClient
from multifaceted.chat.refusal import read_refusal
from multifaceted.chat.token_limit import read_token_limit
from multifaceted.chat.wire import BETWEEN, Change, fold_system
from multifaceted.errors import EndpointError
from multifaceted.records import Message, Request
from multifaceted.testing import ChatServer, Fault

SCHEMA = {"type": "object", "properties": {"style": {"type": "string"}}}


def make_request(*stated: str, label: str = "preferences", **parameters: Any) -> Request:
    usual = {"temperature": 1.0, "top_p": 0.9, "max_tokens": 4096, "seed": 7}
    turns = Message("system", "You specify preferences."), Message("user", "Specify them as an object.")
    return Request(
        label,
        "i0-v1",
        "some-model",
        turns,
        {**usual, **parameters},
        schema=SCHEMA,
        structured_output="json_schema",
        stated=frozenset(stated),
    )


def describe(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is different between two bodies."""
    found = [
        f"drop {name}" for name in ("seed", "top_p", "temperature") if name in before and name not in after
    ]
    if "max_completion_tokens" in after:
        found.append("rename")
    elif before["max_tokens"] != after["max_tokens"]:
        found.append(f"limit {after['max_tokens']}")
    formats = [body.get("response_format", {}).get("type", "prompt") for body in (before, after)]
    if formats[0] != formats[1]:
        found.append(f"format {formats[1]}")
    if all(message["role"] != "system" for message in after["messages"]):
        found.append("fold")
    return found


@pytest.mark.parametrize(("status", "text", "changes"), REFUSALS, ids=lambda value: str(value)[:60])
def test_a_refusal_is_read_by_what_it_names(status: int, text: str, changes: list[str]) -> None:
    attempt = Attempt(Capabilities("u", "some-model"), make_request())
    before = attempt.body
    assert attempt.rewrite(status, text) == bool(changes)
    assert describe(before, attempt.body) == changes


def serve(answer: Callable[[dict[str, Any]], str | None]) -> ChatServer:
    """A server that says 400 with a message, where `answer` gives one."""

    def fault(body: dict[str, Any]) -> Fault | None:
        said = answer(body)
        return None if said is None else Fault(status=400, text=error(said))

    return ChatServer(fault=fault)


def ask(server: ChatServer, *requests: Request) -> list[str]:
    """Ask one after the other by one client; gives "" or the error of each."""

    async def main() -> list[str]:
        client, said = LiveClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), timeout=5), []
        for request in requests:
            try:
                await client.ask(request)
                said.append("")
            except EndpointError as failed:
                said.append(failed.message)
        await client.close()
        return said

    return asyncio.run(main())


def refuse_several(body: dict[str, Any]) -> str | None:
    for name in ("seed", "temperature", "top_p"):
        if name in body:
            return (
                f"does not support parameters: {[n for n in ('temperature', 'top_p', 'seed') if n in body]}"
            )
    return None


def refuse_system(body: dict[str, Any]) -> str | None:
    return "System role not supported" if body["messages"][0]["role"] == "system" else None


def refuse_both(body: dict[str, Any]) -> str | None:
    return (
        "`temperature` and `top_p` cannot both be specified"
        if {"temperature", "top_p"} <= set(body)
        else None
    )


def want_the_word(body: dict[str, Any]) -> str | None:
    kind = body.get("response_format", {}).get("type")
    if kind == "json_schema":
        return "json_schema is not available"
    if kind == "json_object" and "json" not in str(body["messages"]).lower():
        return "'messages' must contain the word 'json' to use 'response_format' of type 'json_object'."
    return None


def refuse_several_in_fixed_words(body: dict[str, Any]) -> str | None:
    unwelcome = {"seed", "temperature"} & set(body)
    return (
        f"This model takes no temperature and no seed (call {len(body['messages'])})" if unwelcome else None
    )


def list_what_is_known(body: dict[str, Any]) -> str | None:
    """Names all parameters, though but one is unwelcome."""
    return "Bad request. Known: seed, top_p, max_tokens, response_format" if "temperature" in body else None


@pytest.mark.parametrize(
    ("answer", "refused", "missing"),
    [
        (refuse_several, 3, {"seed", "temperature", "top_p"}),
        (refuse_system, 1, set()),
        (refuse_both, 1, {"top_p"}),
        (refuse_several_in_fixed_words, 2, {"seed", "temperature"}),
        (want_the_word, 2, set()),
    ],
)
def test_what_helped_is_remembered_and_said_once(
    answer: Callable[[dict[str, Any]], str | None],
    refused: int,
    missing: set[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(answer) as server:
        assert ask(server, *(make_request(seed=seed) for seed in range(5))) == [""] * 5
        assert len(server.bodies) <= 5 + 2 * refused
        assert {"seed", "temperature", "top_p"} - set(server.bodies[-1]) == missing
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * refused
    assert all(server.base_url in record.getMessage() for record in caplog.records)


def test_a_refusal_that_comes_with_status_200_is_one_too() -> None:
    said = json.dumps({"error": {"message": "response_format is not supported", "code": 400}})
    with ChatServer(fault=lambda body: Fault(text=said) if "response_format" in body else None) as server:
        assert ask(server, make_request(), make_request(seed=8)) == ["", ""]
        kinds = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert kinds == ["json_schema", "json_object", None, None]


def test_the_system_message_opens_the_first_user_turn_and_roles_alternate() -> None:
    turns = [Message("system", "S"), Message("user", "U"), Message("user", "V"), Message("assistant", "A")]
    assert fold_system(turns) == [Message("user", BETWEEN.join("SUV")), Message("assistant", "A")]
    with serve(refuse_system) as server:
        ask(server, make_request())
        assert [m["role"] for m in server.bodies[-1]["messages"]] == ["user"]


def test_a_guess_that_does_not_help_is_taken_back_and_not_made_again() -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        return f"request {len(server.bodies)}: the seed and the response_format look odd"

    with serve(refuse) as server:
        said = ask(server, make_request(), make_request(seed=8), make_request(seed=9))
        assert all("look odd" in words for words in said)
        assert len(server.bodies) == 4 + 1 + 1  # the first: without seed, then json_object, then prompt
        assert server.bodies[-1]["response_format"]["type"] == "json_schema"
        assert "seed" in server.bodies[-1]


def test_a_message_that_names_more_than_what_is_unwelcome_costs_nothing_else() -> None:
    with serve(list_what_is_known) as server:
        assert ask(server, make_request())[0] != ""  # temperature is not even named
        assert {"seed", "top_p", "temperature"} <= set(server.bodies[0])
    with serve(lambda body: "no: seed, top_p, temperature" if "temperature" in body else None) as server:
        assert ask(server, make_request(), make_request(seed=8)) == ["", ""]
        assert {"seed", "top_p"} <= set(server.bodies[-1])
        assert "temperature" not in server.bodies[-1]
    letters = iter("abcdefghijkl")  # words that are never the same
    with serve(
        lambda body: f"{next(letters)}: seed, top_p, temperature" if "temperature" in body else None
    ) as server:
        assert ask(server, make_request(), make_request(seed=8)) == ["", ""]
        assert {"seed", "top_p"} <= set(server.bodies[-1])


def test_a_row_that_is_refused_for_itself_teaches_nothing_while_others_pass() -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        odd = body["seed"] == 3 and body.get("response_format", {}).get("type") == "json_schema"
        return "Invalid schema for response_format: too many states" if odd else None

    with serve(refuse) as server:
        assert ask(server, *(make_request(seed=seed) for seed in range(6))) == [""] * 6
        kinds = [body["response_format"]["type"] for body in server.bodies]
    assert kinds == ["json_schema"] * 4 + ["json_object"] + ["json_schema"] * 2


def test_a_server_that_stumbles_once_teaches_nothing() -> None:
    struck: list[int] = []

    def fault(body: dict[str, Any]) -> Fault | None:
        struck.append(1)
        return Fault(status=500, text=error("crashed near response_format")) if len(struck) == 1 else None

    with ChatServer(fault=fault) as server:
        assert ask(server, make_request(), make_request(seed=8)) == ["", ""]
        assert [b["response_format"]["type"] for b in server.bodies][-1] == "json_schema"


def refuse_strict(body: dict[str, Any]) -> str | None:
    sent = body.get("response_format", {}).get("json_schema", {})
    return "response_format.json_schema.strict is not known" if "strict" in sent else None


@pytest.mark.parametrize(
    "answer",
    [
        lambda body: "no json_schema" if "json_schema" in str(body.get("response_format")) else None,
        lambda body: "no response_format" if "response_format" in body else None,
        lambda body: "no seed" if "seed" in body else None,
        want_the_word,
        refuse_strict,
        refuse_system,
    ],
)
def test_what_is_refused_with_500_is_learned_from_requests_that_come_one_by_one(
    answer: Callable[[dict[str, Any]], str | None],
) -> None:
    def fault(body: dict[str, Any]) -> Fault | None:
        said = answer(body)
        return None if said is None else Fault(status=500, text=error(said))

    with ChatServer(fault=fault) as server:
        assert ask(server, *(make_request(seed=seed) for seed in range(5))) == [""] * 5
        assert len(server.bodies) <= 5 + 2 * 2  # two requests find out, each by two refusals at most


@pytest.mark.parametrize(
    ("stated", "said", "goes_on"),
    [
        (("temperature",), "temperature must be at most 1", False),
        ((), "temperature must be at most 1", True),
        (("top_p",), "Invalid value for top_p", False),
        (("temperature",), "Unsupported parameter: 'temperature'", True),
        (("temperature", "top_p"), "temperature and top_p cannot both be specified", False),
        (("temperature", "top_p"), "does not support: ['temperature', 'top_p']", True),
    ],
)
def test_a_value_that_the_recipe_states_is_not_left_out_for_being_out_of_range(
    stated: tuple[str, ...], said: str, goes_on: bool
) -> None:
    attempt = Attempt(Capabilities("u", "some-model"), make_request(*stated))
    assert attempt.rewrite(400, error(said)) == goes_on


@pytest.mark.parametrize(
    ("stated", "left"), [((), "temperature"), (("top_p",), "top_p"), (("temperature",), "temperature")]
)
def test_of_two_that_exclude_each_other_the_one_that_the_recipe_states_stays(
    stated: tuple[str, ...], left: str
) -> None:
    attempt = Attempt(Capabilities("u", "some-model"), make_request(*stated))
    assert attempt.rewrite(400, error("`temperature` and `top_p` cannot both be specified"))
    assert {"temperature", "top_p"} & set(attempt.body) == {left}


def test_what_the_recipe_adds_is_never_left_out_but_named() -> None:
    request = make_request(extra_body={"top_k": 20, "seed": 3})
    with serve(lambda body: "Unknown parameters: top_k, seed") as server:
        [said] = ask(server, request)
        assert "extra_body of the recipe sends top_k, seed" in said
        assert len(server.bodies) == 1


def test_fewer_tokens_are_asked_for_where_the_context_ends_and_the_client_tells_how_many() -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        total = 5000 + body["max_tokens"]
        if body["seed"] == 1 and total > 8192:
            shares = f"(5000 in the messages, {body['max_tokens']} in the completion)"
            return f"maximum context length is 8192 tokens. However, you requested {total} tokens {shares}"
        return None

    async def main() -> list[int | None]:
        client = LiveClient(AsyncOpenAI(base_url=server.base_url, api_key="none"), timeout=5)
        requests = [make_request(seed=1), make_request(seed=2)]
        for request in requests:
            await client.ask(request)
        await client.close()
        return [client.take_max_tokens(request) for request in requests]

    with serve(refuse) as server:
        assert asyncio.run(main()) == [3192, 4096]  # the other row's own
        assert [body["max_tokens"] for body in server.bodies] == [4096, 3192, 4096]


def test_where_the_room_is_not_told_halves_are_tried_down_to_an_eighth() -> None:
    def refuse(body: dict[str, Any]) -> str | None:
        sent = body["max_tokens"]
        return (
            f"maximum context length is 8192 tokens. However, you requested {sent} output tokens and your "
            f"prompt contains at least {8193 - sent} input tokens, for a total of at least 8193 tokens."
        )

    with serve(refuse) as server:
        assert "at least" in ask(server, make_request())[0]
        assert [body["max_tokens"] for body in server.bodies] == [4096, 2048, 1024, 512]


@pytest.mark.parametrize(
    ("words", "room"),
    [
        ("max_tokens must be less than 2048", 2047),
        ("max_tokens must be in (0, 2048]", 2048),
        ("Range of max_tokens should be [1, 2,048]", 2048),
        ("max_tokens: 4096 > 2048, which is the maximum allowed number of output tokens", 2048),
        ("supported range is from 1 (inclusive) to 2049 (exclusive)", 2048),
        ("max_tokens must not exceed 2048", 2048),
        ("max_tokens cannot be greater than 2048", 2048),
        ("max_tokens is too large (max 2048)", 2048),
        ("`max_new_tokens` must be <= 2048. Given: 4096", 2048),
        ("max_tokens limit is 2048", 2048),
        ("max_tokens must be at least 1, got -186.", None),
        ("request (4390 tokens) exceeds the available context size (4096 tokens)", None),
        ("max_tokens 4096 is fine, and the moon is full", None),
    ],
)
def test_the_most_tokens_of_a_model_are_read(words: str, room: int | None) -> None:
    found = read_token_limit(words, sent=4096, wanted=4096)
    assert (None if found is None else found.tokens) == room


def test_no_refusal_is_too_odd_to_be_read() -> None:
    deep = "[" * 3000
    for text in (
        "",
        "null",
        "[]",
        "{",
        '{"error": null}',
        deep,
        '{"a": ' * 50,
        "\ud83d",
        '{"param": 3}',
        "{}" * 99,
    ):
        assert isinstance(read_refusal(text).cause, str)
        assert read_token_limit(text, sent=10, wanted=10) is None


@pytest.mark.parametrize(
    ("one", "other", "is_equal"),
    [
        ("model x: 3 errors, id req_011CVtwx", "model x: 4 errors, id req_99zzTT88", True),
        (f"bad prompt '{'a' * 50}'", f"bad prompt '{'b' * 60}'", True),
        ("sorry, request id: abcDEF", "sorry, request id: ghiJKL", True),
        ("cannot take 'Why is the…'", "cannot take 'How is the…'", True),
        ("seed is odd", "top_p is odd", False),
    ],
)
def test_refusals_of_one_cause_are_alike(one: str, other: str, is_equal: bool) -> None:
    first, second = (
        read_refusal(error(words), hide=["Why is the sky", "How is the sea"]) for words in (one, other)
    )
    assert (first.cause == second.cause) == is_equal


def test_a_prompt_that_an_error_repeats_says_nothing() -> None:
    request = make_request()
    attempt = Attempt(Capabilities("u", "some-model"), request)
    assert not attempt.rewrite(400, error(f"flagged: {request.messages[0].content}"))
    assert read_refusal(error("temperature of m"), hide=["m"]).words.split()[:2] == ["temperature", "of"]


def test_a_change_says_what_requests_are_like() -> None:
    kinds = get_args(get_type_hints(Change)["kind"])
    assert len({Change(kind, "seed", 5).describe() for kind in kinds}) == len(kinds)
