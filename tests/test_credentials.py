"""Secrets that the process holds stand nowhere that it writes or prints, whoever echoes them."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted

from multifaceted import credentials
from multifaceted.credentials import (
    blot,
    blot_body,
    blot_file,
    hold_headers,
    hold_secret,
    is_variable_name,
)
from multifaceted.errors import StorageError
from multifaceted.secret_formats import is_token
from multifaceted.testing import ChatServer, Fault, make_reply

KEY = "sk-hold/this+key=0123"


@pytest.fixture(autouse=True)
def _nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_held", set())
    monkeypatch.setattr(credentials, "_pattern", None)


def find_secret(folder: Path, secret: str) -> list[str]:
    """Every file that holds the secret, as it is or as JSON writes it."""
    forms = [form.encode() for form in (secret, secret.replace("/", "\\/"))]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]


def echo(body: dict[str, Any]) -> Fault | None:
    """A server that repeats the key in whatever it says."""
    text = make_reply(body)
    if "Question 0" in body["messages"][-1]["content"]:
        return Fault(status=400, text=json.dumps({"error": {"message": f"no right: {KEY}", "code": KEY}}))
    if "Question 1" in body["messages"][-1]["content"]:
        return Fault(refusal=f"not for {KEY}")
    content = text.replace('": "', f'": "{KEY} ') if text.startswith("{") else f"{text} {KEY}"
    choice = {"message": {"content": content, "reasoning": KEY}, "finish_reason": "stop"}
    whole = {"choices": [choice], "model": f"model of {KEY}", "system_fingerprint": KEY, "usage": {"x": KEY}}
    written = json.dumps(whole)
    if "Question 2" in body["messages"][-1]["content"]:
        written = written.replace("sk-hold", "\\u0073k-hold")
    return Fault(text=written, headers={"x-echo": KEY})


@pytest.mark.parametrize("mode", ["live", "batch"])
def test_a_server_that_echoes_the_key_gets_it_nowhere(
    mode: str, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHOED_KEY", KEY)
    with ChatServer(fault=echo, api_key=KEY) as server:
        model: dict[str, Any] = {"base_url": server.base_url, "name": "m"}
        batch: dict[str, Any] = {"mode": "batch", "batch": {"poll_seconds": 0.01}} if mode == "batch" else {}
        model |= {"api_key_env": "ECHOED_KEY", "reasoning": "keep", "retry_wait": 0.01, "max_attempts": 2}
        recipe = make_recipe("", model=model, count=5, variants=1, **batch)
        shown = [multifaceted("generate", recipe, "--run", "run", "--json", "-v", cwd=tmp_path)]
    commands = (
        *(("status", "run"), ("failures", "run", "--json"), ("rows", "run"), ("why", "run", "i3-v1")),
        ("build", "run", "--out", "built"),
        ("check", "built"),
    )
    shown += [multifaceted(*words, cwd=tmp_path) for words in commands]
    assert [one.returncode for one in shown] == [1, 0, 0, 0, 0, 0, 0]
    assert not [one.args for one in shown if KEY in one.stdout + one.stderr]
    assert find_secret(tmp_path, KEY) == []
    assert "***" in multifaceted("rows", "run", cwd=tmp_path).stdout


def test_what_is_held_is_blotted_out_in_every_form() -> None:
    hold_secret(KEY)
    for form in (KEY, json.dumps(KEY)[1:-1], KEY.replace("/", "\\/"), "sk-hold%2Fthis%2Bkey%3D0123"):
        assert blot(f"<{form}>") == "<***>"
    escaped = json.dumps({"a": KEY}).replace("-", "\\u002d")
    assert json.loads(blot_body(escaped)) == {"a": "***"}
    assert StorageError(f"with {KEY}", hint=KEY).args == ("with ***",)


def test_a_file_of_lines_is_blotted_and_another_left_as_it_is(tmp_path: Path) -> None:
    hold_secret(KEY)
    (tmp_path / "a").write_bytes(b'{"a": 1}\r\n\xff\n')
    (tmp_path / "b").write_text(f'{{"a": "{KEY}"}}\n{{"b": 2}}')
    for name in "ab":
        blot_file(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == b'{"a": 1}\r\n\xff\n'
    assert (tmp_path / "b").read_text() == '{"a": "***"}\n{"b": 2}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("word", ["EMPTY", "none", "sk-test", "sk-test-key", "token", "1234567", " dummy "])
def test_placeholders_and_short_keys_corrupt_no_row(word: str) -> None:
    hold_secret(word)
    assert blot(f"a {word} row") == f"a {word} row"


def test_headers_are_held_by_what_they_are_called() -> None:
    hold_headers(
        {"x-api-key": "aaaaaaaaaaaa", "Authorization": "Bearer bbbbbbbbbbbb", "X-Title": "my application"}
    )
    assert blot("aaaaaaaaaaaa bbbbbbbbbbbb my own app") == "*** *** my own app"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "sk-abcdefgh",
            "hf_abcdefghijklmnop",
            "gsk_0123456789",
            "AIzaSyA0123456789",
            "a b",
            "",
            "1KEY",
            "A=b",
        ),
        *("k" * 200, "0f8a9b7c6d5e4f3a2b1c0d9e8f7a6b5c", "abcdef0123456789abcdef01"),
    ],
)
def test_a_pasted_key_is_no_name_of_a_variable(name: str) -> None:
    assert not is_variable_name(name)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "_K2", "my_key", "HF_TOKEN", "team_3_openai_key_v2"[:20]])
def test_names_of_variables_are_taken(name: str) -> None:
    assert is_variable_name(name)


@pytest.mark.parametrize(
    ("model", "secret"),
    [
        ({"api_key_env": "sk-proj-abcdefghijklmnop0123456789"}, "abcdefghijklmnop"),
        ({"extra_body": {"api_key": "abc-of-somebody"}}, "abc-of-somebody"),
        ({"extra_body": {"headers": {"Authorization": "Bearer abc-of-somebody"}}}, "abc-of-somebody"),
        ({"extra_body": {"user": "hf_" + "a1" * 17}}, "a1a1a1a1"),
        ({"extra_body": {"list": [{"x-api-key": "abc-of-somebody"}]}}, "abc-of-somebody"),
    ],
)
def test_a_key_in_a_recipe_is_refused_and_not_repeated(
    model: dict[str, Any], secret: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe("", model={"base_url": "http://127.0.0.1:9/v1", "name": "m", **model})
    for words in (("plan", recipe), ("generate", recipe, "--run", tmp_path / "run")):
        refused = multifaceted(*words)
        assert refused.returncode == 2
        assert "recipe.yaml:" in refused.stderr
        assert secret not in refused.stdout + refused.stderr
    assert not (tmp_path / "run").exists()


def test_ordinary_parameters_are_no_secrets(make_recipe: MakeRecipe) -> None:
    extra = {"max_tokens": 5, "stop": ["token"], "logit_bias": {"5": 1}, "token_healing": True, "top_k": 3}
    recipe = make_recipe("", model={"base_url": "http://127.0.0.1:9/v1", "name": "m", "extra_body": extra})
    assert multifaceted("plan", recipe).returncode == 0


@pytest.mark.parametrize(
    "token",
    [
        "sk-ant-" + "a1B2" * 9,
        "AKIA" + "A1" * 8,
        "github_pat_" + "a1" * 30,
        "AIza" + "b2" * 17 + "c",
        "glpat-" + "a1" * 10,
        "xoxb-" + "1a" * 12,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdefghijkl",
        "gsk_" + "a1" * 24,
    ],
)
def test_keys_are_known_by_their_form(token: str) -> None:
    assert is_token(f"here: {token}.")
    assert not is_token(f"here: {token[:8]}…")
