"""Refusals: what each HTTP status means, and how long to wait, however an endpoint says so."""

import json
import math
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multifaceted.chat.policy import translate_refusal
from multifaceted.chat.retry_after import LONGEST, read_retry_after, read_seconds
from multifaceted.errors import (
    EndpointError,
    FatalEndpointError,
    RejectedRequestError,
    TransientEndpointError,
)

NOW = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT


def refuse(status: int, body: Any = "", **headers: str) -> EndpointError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return translate_refusal(status, named, body if isinstance(body, str) else json.dumps(body))


@pytest.mark.parametrize("status", [502, 503, 504, *range(520, 531), 598, 599])
def test_nobody_behind_the_gateway_is_unavailable(status: int) -> None:
    error = refuse(status, "<html><title>example.com | Origin is unreachable</title>")
    assert (type(error), error.kind) == (TransientEndpointError, "unavailable")
    assert error.message == f"HTTP {status}: a web page, 'example.com | Origin is unreachable'"


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ((408, 460, 499), "timeout"),
        ((420, 429, 430, 509), "rate_limited"),
        ((409, 421, 423, 424, 425, 449, 500, 506, 507, 508, 555), "server_error"),
    ],
)
def test_what_may_pass_is_asked_again(statuses: tuple[int, ...], kind: str) -> None:
    for status in statuses:
        error = refuse(status)
        assert (status, type(error), error.kind) == (status, TransientEndpointError, kind)


@pytest.mark.parametrize(
    "status", [301, 308, 401, 402, 403, 404, 405, 407, 410, 495, 496, 497, 498, 511, 561]
)
def test_what_every_request_would_meet_stops_the_run_and_says_what_to_do(status: int) -> None:
    error = refuse(status)
    assert (type(error), bool(error.hint)) == (FatalEndpointError, True)


@pytest.mark.parametrize("status", [0, 101, 400, 406, 411, 413, 414, 418, 422, 431, 451, 501, 505, 600, 999])
def test_what_is_the_requests_own_fails_its_row(status: int) -> None:
    error = refuse(status)
    assert (type(error), error.kind) == (RejectedRequestError, "request_rejected")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (429, {"error": {"code": "insufficient_quota"}}, FatalEndpointError),
        (429, {"error": {"code": None, "type": "insufficient_quota"}}, FatalEndpointError),
        (429, {"error": {"type": "exceeded_current_quota_error"}}, FatalEndpointError),
        (429, {"error": {"code": "1113", "message": "of Zhipu"}}, FatalEndpointError),
        (400, {"code": "Arrearage", "message": "of DashScope"}, FatalEndpointError),
        (429, {"error": {"message": "You exceeded your current quota", "code": 429}}, TransientEndpointError),
        (400, {"error": {"code": "content_filter"}}, RejectedRequestError),
        (
            403,
            {"error": {"code": 403, "metadata": {"flagged_input": "…", "reasons": []}}},
            RejectedRequestError,
        ),
        (400, [{"error": {"code": 400, "message": "of Gemini"}}], RejectedRequestError),
        (500, [], TransientEndpointError),
        (500, [[]], TransientEndpointError),
        (500, {"error": None}, TransientEndpointError),
        (500, {"error": {"message": 7, "code": [1]}}, TransientEndpointError),
        (500, "[" * 100_000, TransientEndpointError),
        (500, "\ufeff{", TransientEndpointError),
    ],
)
def test_the_body_may_say_otherwise_and_is_never_an_error_itself(
    status: int, body: Any, kind: type[EndpointError]
) -> None:
    error = refuse(status, body)
    assert type(error) is kind
    assert error.message.startswith(f"HTTP {status}: ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "Not Found", "message": "No route for /v2"}, "No route for /v2"),
        ({"error": "Unauthorized"}, "Unauthorized"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"errors": [{"message": "first"}, {"message": "second"}]}, "first"),
        ({"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}, "model: x"),
        ([{"error": {"code": 404, "message": "of Gemini", "status": "NOT_FOUND"}}], "of Gemini"),
        ('data: {"error": {"message": "in a stream"}}\n\n', "in a stream"),
        ('"a text"', "a text"),
        ("<html><body><h1>502 &amp; more</h1>", "a web page, '502 & more'"),
        ("upstream gone\n", "upstream gone"),
        ("", "no reason given"),
    ],
)
def test_the_words_of_an_error_are_found_in_whatever_shape(body: Any, words: str) -> None:
    assert refuse(404, body).message == f"HTTP 404: {words}"


def test_a_filter_is_told_from_a_fault_of_the_request() -> None:
    for error in (
        {"code": "data_inspection_failed"},
        {"code": "ResponsibleAIPolicyViolation"},
        {"code": 1301},
    ):
        assert refuse(400, {"error": error}).kind == "content_filter"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e2", 100.0),
        ("60s", 60.0),
        ("60 seconds", 60.0),
        ("1m30s", 90.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h2m3s", 3723.0),
        ("1d", 86_400.0),
        ("7d", 604_800.0),
        ("1000d", LONGEST),
        ('"30"', 30.0),
        ("2814, 2", 2814.0),
        ("30,", 30.0),
        ("inf", LONGEST),
        ("Infinity", LONGEST),
        ("1e308", LONGEST),
        ("9" * 400, LONGEST),
        ("-5", 0.0),
        ("-inf", 0.0),
        ("Wed, 21 Oct 2026 07:29:00 GMT", 60.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:29:00 2026", 60.0),
        ("Wed, 21 Oct 2026 09:29:00 +0200", 60.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        ("2026-10-21T07:29:00Z", 60.0),
        ("2026-10-21T09:29:00.000+02:00", 60.0),
        (str(NOW + 60), 60.0),
        (str(int(NOW + 60)), 60.0),
        (str(int((NOW + 60) * 1000)), 60.0),
        ("", None),
        ("nan", None),
        ("soon", None),
        ("1 model", None),
        ("-1s", None),
        ("٦", None),
        ("1_000", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 +99999999999", None),
    ],
)
def test_a_wait_is_read_in_whatever_form_it_comes(value: str, seconds: float | None) -> None:
    found = read_seconds(value, NOW)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=0.001))


@given(
    value=st.text() | st.floats().map(str) | st.from_regex(r"(\d+(ms|s|m|h|d| ),?)+"), now=st.floats(0, 1e11)
)
def test_no_header_makes_a_wait_that_is_negative_endless_or_an_error(value: str, now: float) -> None:
    assert (
        0 <= read_retry_after({"retry-after": value, "retry-after-ms": value, "date": value}, value) < LONGEST
    )
    seconds = read_seconds(value, now)
    assert seconds is None or 0 <= seconds <= LONGEST


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "nan", "retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1e308", "retry-after": "7"}, 7.0),
        ({"retry-after": "inf"}, 0.0),  # no wait at all, rather than a long one
        ({"retry-after": "1e308"}, 0.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 0.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:29:00 GMT"}, 60.0),
        (
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int((NOW + 30) * 1000))},
            30.0,
        ),  # OpenRouter
        ({"x-ratelimit-remaining": "5", "x-ratelimit-reset": str(int((NOW + 30) * 1000))}, 0.0),
        ({}, 0.0),
    ],
)
def test_headers_name_the_wait(headers: dict[str, str], seconds: float) -> None:
    assert read_retry_after(headers, now=NOW) == pytest.approx(seconds)


def test_a_date_is_meant_by_the_endpoints_clock_where_it_sends_that() -> None:
    wrong = 1_000_000.0
    headers = {"retry-after": formatdate(wrong + 20, usegmt=True), "date": formatdate(wrong, usegmt=True)}
    assert read_retry_after(headers) == pytest.approx(20.0)
    assert refuse(503, "", retry_after=headers["retry-after"], date=headers["date"]).retry_after == 20.0


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Rate limit reached … on tokens per min (TPM): Limit 10000. Please try again in 1.2s. Visit …", 1.2),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 1m23.456s. Need more tokens? Upgrade", 83.456),
        ("Requests have exceeded the call rate limit. Please retry after 26 seconds.", 26.0),
        ("No deployments available for selected model, Try again in 60 seconds. Passed model=x", 60.0),
        ("Quota exceeded … Please retry in 26.660853464s.", 26.661),
        ("Your quota will reset after 2h7m23s.", 7643.0),
        ("try again in 1 minute and 5 seconds", 65.0),
        ("Please wait 30 seconds before retrying", 30.0),
        ("Please try again in a moment", 0.0),
        ("we retry 3 models", 0.0),
        ("retry after 1 model is removed", 0.0),
        ("Limit: 20 seconds of audio", 0.0),
    ],
)
def test_words_name_the_wait_where_no_header_does(words: str, seconds: float) -> None:
    body = {"error": {"message": words, "code": "rate_limit_exceeded"}}
    assert refuse(429, body).retry_after == pytest.approx(seconds, abs=0.001)
    assert refuse(429, words).retry_after == pytest.approx(seconds, abs=0.001)
    assert refuse(429, body, retry_after="7").retry_after == 7.0
    assert refuse(400, body).retry_after == 0.0


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (
            [
                {
                    "error": {
                        "details": [{"@type": "…QuotaFailure"}, {"@type": "…RetryInfo", "retryDelay": "17s"}]
                    }
                }
            ],
            17.0,
        ),
        ({"error": {"details": [{"retryDelay": "45.837906927s"}]}}, 45.838),
        ({"error": {"details": [{"retryDelay": "-3s"}, 7, None]}}, 0.0),
        ({"error": {"details": {"retryDelay": "17s"}}}, 0.0),
        ({"error": "Model x is currently loading", "estimated_time": 20.0}, 20.0),  # Hugging Face
        ({"error": {"retry_after": 3}}, 3.0),
        ({"error": {"retry_after_ms": 1500}}, 1.5),
        ({"error": {"retry_after": True}}, 0.0),
        ({"error": {"retry_after": math.inf}}, 0.0),
        ({"error": {"retry_after": [1]}}, 0.0),
        (
            {"error": {"metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9e99"}}}},
            0.0,
        ),
        ({"error": {"metadata": {"headers": None}}}, 0.0),
    ],
)
def test_an_error_object_names_the_wait(body: Any, seconds: float) -> None:
    assert refuse(429, body).retry_after == pytest.approx(seconds, abs=0.001)


def test_long_words_are_read_in_no_time() -> None:
    for text in ("try again in " + "1" * 10**6, "retry " + " " * 10**6, "wait 1s " * 10**5, "<title" * 10**5):
        assert refuse(429, text).retry_after < 2.0
