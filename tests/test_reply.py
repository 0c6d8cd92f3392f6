"""What is read from a body, whatever an endpoint puts into it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.chat.body_errors import explain_body
from multifaceted.chat.endings import classify_ending
from multifaceted.chat.reasoning import split_reasoning
from multifaceted.chat.reply import read_reply
from multifaceted.chat.tokens import MAX_TOKENS
from multifaceted.credentials import hold_secret
from multifaceted.errors import (
    EndpointError,
    FatalEndpointError,
    RejectedRequestError,
    TransientEndpointError,
)
from multifaceted.records import Reply

USAGE = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}


def make_body(message: Any = "Hi.", *, finish_reason: Any = "stop", usage: Any = USAGE, **more: Any) -> str:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": message},
        "finish_reason": finish_reason,
    }
    return json.dumps({"model": "m-1", "choices": [choice | more.pop("choice", {})], "usage": usage, **more})


def stream(*choices: dict[str, Any]) -> str:
    chunks = [json.dumps({"choices": [choice]}) for choice in choices]
    return "".join(f"data: {chunk}\n\n" for chunk in [*chunks, "[DONE]"])


def read(body: str, **how: Any) -> Reply:
    reply = read_reply("key", body, **how)
    assert reply is not None
    return reply


# Content


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("Hi.", "Hi.", ""),
        (None, "", ""),
        ([{"type": "text", "text": "Hi"}, {"type": "text", "text": "."}], "Hi.", ""),
        (["Hi", "."], "Hi.", ""),
        ([{"type": "output_text", "text": {"value": "Hi."}}], "Hi.", ""),
        # Mistral's and Anthropic's parts
        (
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "So"}]},
                {"type": "text", "text": "Hi."},
            ],
            "Hi.",
            "So",
        ),
        (
            [{"type": "thinking", "thinking": "So", "signature": "x"}, {"type": "text", "text": "Hi."}],
            "Hi.",
            "So",
        ),
        ({"score": 4}, '{"score": 4}', ""),
        (7, "7", ""),
        ("half \ud83d", "half \ufffd", ""),
        ("a \ud83d\ude00 face", "a 😀 face", ""),
        ("<think>\nSo.\n</think>\n\nHi.", "Hi.", "So."),
    ],
)
def test_content_is_read_in_every_form(content: Any, text: str, reasoning: str) -> None:
    reply = read(make_body(content))
    assert (reply.text, reply.reasoning, reply.ending) == (text, reasoning, "whole")


@pytest.mark.parametrize(
    "body",
    [
        '\ufeff{"choices": [{"message": {"content": "Hi."}}]}',
        '{"choices": [{"text": "Hi.", "finish_reason": "stop"}]}',
        '{"choices": [{"message": "Hi."}]}',
        '{"choices": {"message": {"content": "Hi."}}}',
        '{"message": {"role": "assistant", "content": "Hi."}, "done": true}',
        ': OPENROUTER PROCESSING\n\n: OPENROUTER PROCESSING\n\n{"choices": [{"text": "Hi."}]}',
        stream({"delta": {"content": "H"}}, {"delta": {"content": "i."}, "finish_reason": "stop"}),
        stream({"delta": {"content": "Hi."}, "finish_reason": "stop"}).replace("\n\n", "\r\n"),
        'data: {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}\n\n',
    ],
)
def test_a_reply_is_found_in_bodies_of_other_shapes(body: str) -> None:
    assert (read(body).text, read(body).ending) == ("Hi.", "whole")


def test_a_stream_keeps_usage_reasoning_and_ending_of_its_chunks() -> None:
    chunks = [
        {"model": "m-1", "choices": [{"delta": {"reasoning_content": "So"}}]},
        {"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": USAGE},
    ]
    reply = read("\n\n".join(f"data: {json.dumps(chunk)}" for chunk in chunks))
    assert (reply.text, reply.reasoning, reply.ending, reply.model) == ("Hi", "So", "cut", "m-1")
    assert (reply.prompt_tokens, reply.completion_tokens) == (30, 12)


def test_a_stream_that_breaks_off_is_a_broken_reply() -> None:
    assert read('data: {"choices": [{"delta": {"content": "Hal"}}]}\n\n').ending == "broken"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_beside_an_empty_content_is_no_text(name: str) -> None:
    message = {"message": {"content": None, name: "So it goes."}}
    assert (read(make_body(choice=message)).text, read(make_body(choice=message)).reasoning) == (
        "",
        "So it goes.",
    )


def test_reasoning_is_left_in_the_text_where_the_recipe_says_so() -> None:
    assert read(make_body("<think>So.</think>Hi."), inline_reasoning=True).text == "<think>So.</think>Hi."


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("So.</think>\nHi.", "So.", "Hi."),
        ("<think>So.", "So.", ""),
        ("<think></think>Hi.", "", "Hi."),
        ('<think>A draft: {"a": 1}</think>{"a": 2}', 'A draft: {"a": 1}', '{"a": 2}'),
        ('A draft: {"a": 1}\n</think>\n{"a": 2}', 'A draft: {"a": 1}', '{"a": 2}'),
        ("<thinking>So.</thinking>\n<reflection>No.</reflection>\n<output>Hi.</output>", "So.\n\nNo.", "Hi."),
        ("<THINK>So.</THINK>Hi.", "So.", "Hi."),
        ("<think>So.</thinking>Hi.", "So.", "Hi."),
        ("<think>The mark </think> ends it.</think>Hi.", "The mark\n\nends it.", "Hi."),
        ("<think>So.</think>Hi.\n<think>And?</think>\nBye.", "So.\n\nAnd?", "Hi.\n\nBye."),
        ("[THINK]So.[/THINK]Hi.", "So.", "Hi."),
        ("◁think▷So.◁/think▷Hi.", "So.", "Hi."),
        ("<seed:think>So.</seed:think>Hi.", "So.", "Hi."),
        ("<scratchpad>So.</scratchpad>Hi.", "So.", "Hi."),
        ("<|START_THINKING|>So.<|END_THINKING|><|START_RESPONSE|>Hi.<|END_RESPONSE|>", "So.", "Hi."),
        (
            "<|begin_of_thought|>So.<|end_of_thought|><|begin_of_solution|>Hi.<|end_of_solution|>",
            "So.",
            "Hi.",
        ),
        (
            "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>",
            "So.",
            "Hi.",
        ),
    ],
)
def test_thoughts_are_told_apart_from_the_answer(text: str, thoughts: str, answer: str) -> None:
    assert split_reasoning(text) == (thoughts, answer)


@pytest.mark.parametrize(
    "text",
    [
        "Put your thoughts between <think> and </think>.",
        "Models write `</think>` after their thoughts.",
        "It ends so:\n```\n</think>\n```\nand no other way.",
        '{"description": "ends with </think>, always"}',
        "<analysis>The poem is about time.</analysis>",
        "I was <thinking> of you.",
        "a < b and [think] again",
    ],
)
def test_an_answer_that_speaks_of_thoughts_is_left_alone(text: str) -> None:
    assert split_reasoning(text) == ("", text)


@settings(deadline=1000)
@given(
    pieces=st.lists(
        st.sampled_from(["<think>", "</think>", "[THINK]", "`", "```", "\n", "a", "<", "{"]), max_size=60
    )
)
def test_splitting_ends_soon_and_adds_nothing(pieces: list[str]) -> None:
    text = "".join(pieces * 20)
    thoughts, answer = split_reasoning(text)
    assert len(thoughts) + len(answer) <= len(text) + text.count("<") * 2


# Endings


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("stop", "whole"),
        ("STOP", "whole"),
        ("end_turn", "whole"),
        ("eos_token", "whole"),
        ("COMPLETE", "whole"),
        ("FinishReason.STOP", "whole"),
        (None, "whole"),
        ("", "whole"),
        ("length", "cut"),
        ("max_tokens", "cut"),
        ("MAX_TOKENS", "cut"),
        ("FINISH_REASON_MAX_TOKENS", "cut"),
        ("max_output_tokens", "cut"),
        ("model_length", "cut"),
        ("model_context_window_exceeded", "cut"),
        ("content_filter", "filtered"),
        ("SAFETY", "filtered"),
        ("RECITATION", "filtered"),
        ("error", "broken"),
        ("abort", "broken"),
        ("insufficient_system_resource", "broken"),
        ("OTHER", "broken"),
        ("weariness", "unknown"),
        (7, "unknown"),
    ],
)
def test_a_finish_reason_says_how_a_reply_ended(reason: Any, ending: str) -> None:
    assert read(make_body(finish_reason=reason)).ending == ending


def test_an_unknown_ending_counts_as_cut_unless_the_recipe_lists_it() -> None:
    body = make_body(finish_reason="weariness")
    assert read(body).is_cut
    assert not read(body, whole_endings=("weariness",)).is_cut


def test_a_reply_without_a_finish_reason_that_took_all_it_was_allowed_is_cut() -> None:
    body = make_body(finish_reason=None)
    assert read(body, max_tokens=12).is_cut
    assert not read(body, max_tokens=13).is_cut


def test_an_error_in_the_choice_breaks_the_reply() -> None:
    error = {"code": 502, "message": "Upstream went away"}
    body = make_body("Half a sen", finish_reason="error", choice={"error": error})
    assert read(body).ending == "broken"
    explained = explain_body(body, reply=read(body))
    assert (explained.kind, explained.retryable) == ("broken", True)
    assert "Upstream went away" in explained.message


def test_every_ending_has_one_meaning() -> None:
    assert classify_ending("refusal") == "filtered"
    assert read(make_body("I cannot.", finish_reason="refusal")).refusal == "I cannot."


# Usage


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (USAGE, (30, 12, 0)),
        ({"prompt_tokens": "30", "completion_tokens": "12"}, (30, 12, 0)),
        ({"prompt_tokens": 30.0, "completion_tokens": 37.25}, (30, 38, 0)),
        ({"input_tokens": 30, "output_tokens": 12}, (30, 12, 0)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 20}}, (30, 12, 20)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": 999}}, (30, 12, 0)),
        ({**USAGE, "prompt_tokens_details": {"cached_tokens": -20}}, (30, 12, 0)),
        ({**USAGE, "prompt_tokens_details": "none"}, (30, 12, 0)),
        # Reasoning that is counted in the total alone is paid for
        ({"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 142}, (30, 112, 0)),
        ({"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 2**70}, (30, 12, 0)),
    ],
)
def test_usage_is_read_in_every_form(usage: Any, counts: tuple[int, int, int]) -> None:
    reply = read(make_body(usage=usage))
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens) == counts
    assert reply.is_counted


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        "many",
        [],
        7,
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": 30},
        {"prompt_tokens": -5, "completion_tokens": 12},
        {"prompt_tokens": 30, "completion_tokens": -1080},
        {"prompt_tokens": 30, "completion_tokens": 2**70},
        {"prompt_tokens": 30, "completion_tokens": MAX_TOKENS + 1},
        {"prompt_tokens": 30, "completion_tokens": "many"},
        {"prompt_tokens": True, "completion_tokens": True},
        {"prompt_tokens": float("nan"), "completion_tokens": float("inf")},
        {"prompt_tokens": [30]},
        {"prompt_tokens": 30, "completion_tokens": 0},
    ],
)
def test_usage_without_sense_is_unknown_and_the_reply_is_read(usage: Any) -> None:
    reply = read(make_body(usage=usage))
    assert reply.text == "Hi."
    assert not reply.is_counted
    assert 0 <= reply.completion_tokens <= MAX_TOKENS


def test_a_number_of_thousands_of_digits_is_unknown() -> None:
    body = make_body().replace('"completion_tokens": 12', f'"completion_tokens": {"9" * 6000}')
    assert (read(body).text, read(body).is_counted) == ("Hi.", False)


# Errors with status 200


@pytest.mark.parametrize(
    ("body", "error", "kind", "words"),
    [
        (
            {"error": {"code": 402, "message": "Insufficient credits"}},
            FatalEndpointError,
            None,
            "Insufficient credits",
        ),
        ({"error": {"code": "402", "message": "Pay"}, "choices": []}, FatalEndpointError, None, "Pay"),
        ({"error": {"code": "invalid_api_key", "message": "No"}}, FatalEndpointError, None, "No"),
        ({"error": {"status": "PERMISSION_DENIED", "message": "No"}}, FatalEndpointError, None, "No"),
        (
            {"error": {"code": 429, "message": "Slow down"}},
            TransientEndpointError,
            "rate_limited",
            "Slow down",
        ),
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            TransientEndpointError,
            "unavailable",
            "Busy",
        ),
        (
            {"error": {"code": 400, "message": "Too long"}},
            RejectedRequestError,
            "request_rejected",
            "Too long",
        ),
        (
            {"object": "error", "message": "Too long", "code": 400},
            RejectedRequestError,
            "request_rejected",
            "Too long",
        ),
        ({"error": "out of memory"}, TransientEndpointError, "garbage", "out of memory"),
        (
            {"success": False, "errors": [{"code": 10000, "message": "Odd"}]},
            TransientEndpointError,
            "garbage",
            "Odd",
        ),
        (
            {"base_resp": {"status_code": 1002, "status_msg": "Busy"}},
            TransientEndpointError,
            "rate_limited",
            "Busy",
        ),
        ({"detail": "Not now"}, TransientEndpointError, "garbage", "Not now"),
        (
            "<!DOCTYPE html><title>Sign in</title>",
            TransientEndpointError,
            "garbage",
            "HTML page and no chat completion, titled 'Sign in'",
        ),
        ("", TransientEndpointError, "garbage", "is empty"),
        ("upstream timed out", TransientEndpointError, "garbage", "begins: upstream timed out"),
        ("[1, 2]", TransientEndpointError, "garbage", "begins: [1, 2]"),
        ({"choices": []}, TransientEndpointError, "garbage", 'begins: {"choices": []}'),
        ('data: {"error": {"code": 402, "message": "No credit"}}\n\n', FatalEndpointError, None, "No credit"),
    ],
)
def test_an_error_with_status_200_is_what_its_own_code_says(
    body: Any, error: type[EndpointError], kind: str | None, words: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    assert read_reply("key", text) is None
    explained = explain_body(text)
    assert type(explained) is error
    assert words in explained.message
    assert kind in (None, explained.kind)


def test_the_key_is_blotted_out_of_a_quoted_body() -> None:
    for body in (
        '{"error": {"code": 401, "message": "bad key sk-secret-of-this-test"}}',
        "bad key sk-secret-of-this-test",
    ):
        hold_secret("sk-secret-of-this-test")
        assert "sk-secret" not in explain_body(body).message


@settings(deadline=None)
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "content",
                        "usage",
                        "error",
                        "delta",
                        "text",
                        "finish_reason",
                        "prompt_tokens",
                        "code",
                        "reasoning_content",
                        "refusal",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_any_body_is_read_or_explained(body: Any) -> None:
    text = json.dumps(body)
    reply = read_reply("key", text, max_tokens=5)
    if reply is None or reply.ending == "broken":
        assert explain_body(text, reply=reply).message
    else:
        reply.text.encode()
        reply.reasoning.encode()
        reply.model.encode()


# What other servers and models write


@pytest.mark.parametrize(
    ("text", "thoughts", "answer"),
    [
        ("<|channel|>final <|constrain|>JSON<|message|>{}", "", "{}"),
        ("analysisWe greet.assistantfinalHi.", "We greet.", "Hi."),
        ("So.<|end|><|start|>assistant<|channel|>final<|message|>Hi.", "So.", "Hi."),
        ("<|channel>thought\nSo.<channel|>Hi.", "So.", "Hi."),
        ("<|inner_prefix|>So.<|inner_suffix|>Hi.", "So.", "Hi."),
        ("Here is my thought process: So.\nHere is my response: Hi.", "So.", "Hi."),
        ('{"a": 1}\n</think>\n{"a": 2}', '{"a": 1}', '{"a": 2}'),
        ("<|begin_of_box|>Hi.<|end_of_box|>", "", "Hi."),
        ("<chain_of_thought>So.</chain_of_thought>Hi.", "So.", "Hi."),
    ],
)
def test_thoughts_in_further_marks(text: str, thoughts: str, answer: str) -> None:
    assert split_reasoning(text) == (thoughts, answer)


@pytest.mark.parametrize(
    "text",
    [
        "<analysis>A</analysis>\n<verdict>B</verdict>",
        "[analysis] The poem is about time.",
        "<thinking> is a tag that models use.",
        "<think> and </think> are tokens of R1.",
        "The model ends its thoughts with </think> and then answers.",
        "gpt-oss writes <|channel|>final<|message|> before its answer.",
    ],
)
def test_nothing_of_an_answer_that_speaks_of_marks_is_lost(text: str) -> None:
    assert split_reasoning(text) == ("", text)


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("maxPredictedTokensReached", "cut"),
        ("eosFound", "whole"),
        ("REASON_MAX_LEN", "cut"),
        ("null", "whole"),
        ({"type": "length", "length": 9}, "cut"),
        ("MALFORMED_RESPONSE", "broken"),
    ],
)
def test_further_finish_reasons(reason: Any, ending: str) -> None:
    assert read(make_body(finish_reason=reason)).ending == ending


def test_streams_lose_nothing() -> None:
    chunk = {"choices": [{"delta": {"content": "a\u2028b"}}]}
    line = json.dumps(chunk, ensure_ascii=False)
    whole = read(f"data: {line}\n\ndata: [DONE]\n\n")
    assert (whole.text, whole.ending) == ("a\u2028b", "whole")
    assert read(f"data: {line}\n\ndata: {{broken\n\ndata: [DONE]\n\n").ending == "broken"
    ollama = [{"message": {"content": "H"}, "done": False}, {"message": {"content": "i."}, "done": True}]
    assert read("\n".join(map(json.dumps, ollama))).text == "Hi."


def test_no_text_holds_nul() -> None:
    assert read(make_body("H\0i.")).text == "Hi."


def test_an_error_that_says_that_there_is_none_breaks_no_reply() -> None:
    assert read(make_body(error={"code": 0, "message": "success"})).ending == "whole"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "type": "insufficient_quota", "message": "Pay"}, FatalEndpointError),
        ({"code": "content_filter", "message": "No"}, RejectedRequestError),
        ({"message": "Insufficient balance"}, FatalEndpointError),
        ({"code": "ThrottlingException", "message": "Wait"}, TransientEndpointError),
    ],
)
def test_further_errors_in_a_200(error: Any, kind: type[EndpointError]) -> None:
    assert type(explain_body(json.dumps({"error": error}))) is kind
