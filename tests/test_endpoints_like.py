"""Whole runs against every personality of the test server: six rows, none lost and none paid twice."""

import re
from pathlib import Path
from typing import Any

import pytest
from conftest import DIMENSIONS, MakeRecipe
from test_generate import rows_of, run

from multifaceted.errors import FatalEndpointError
from multifaceted.planning import compile_plan
from multifaceted.store.manifest import RunData
from multifaceted.store.run_folder import RunFolder
from multifaceted.store.status import read_status
from multifaceted.testing import ChatServer, Fault, list_personalities

NAMES = [person.name for person in list_personalities()]
KEY = "sk-right"
REQUESTS = 18  # 3 instructions in 2 variants, 3 stages
NO_CREDIT = "Insufficient credits"


def make_six(make_recipe: MakeRecipe, base_url: str, **model: Any) -> Path:
    settings = {"base_url": base_url, "name": "some-model", "timeout": 5, "retry_wait": 0.001, **model}
    return make_recipe(base_url, count=3, variants=2, model=settings)


def read_texts(folder: Path, data: RunData) -> list[str]:
    """All that the model wrote and a row publishes."""
    rows = rows_of(folder, data)
    sets = [entry for row in rows for entry in row["preference_set"]]
    assert [entry["dimension"] for entry in sets] == list(DIMENSIONS) * len(rows)
    texts = [entry[name] for entry in sets for name in ("subdimension", "preference", "description")]
    return texts + [row[name] for row in rows for name in ("system", "chosen") if name in row]


@pytest.mark.parametrize("like", NAMES)
def test_a_run_against_each_personality_makes_all_rows(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like) as server:
        data = run(make_six(make_recipe, server.base_url), tmp_path / "run")
    assert (data.planned, data.ok, data.failed) == (6, 6, 0)
    assert (sum(server.paid.values()), server.repeats) == (REQUESTS, 0)
    assert bool(server.personality.troubles) <= (len(server.bodies) > REQUESTS)
    texts = read_texts(tmp_path / "run", data)
    assert not [text for text in texts if "think>" in text or "first draft" in text or "```" in text]


@pytest.mark.parametrize("like", ["llama-cpp-python", "anthropic", "gemini"])
def test_a_recipe_that_sends_no_response_format_works_there_too(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like) as server:
        recipe = make_six(make_recipe, server.base_url, structured_output="prompt")
        data = run(recipe, tmp_path / "run")
    assert (data.ok, data.failed, server.repeats) == (6, 0, 0)
    assert not [body for body in server.bodies if "response_format" in body]


@pytest.mark.parametrize("like", ["vllm", "litellm", "gemini", "cloudflare"])
def test_a_wrong_key_stops_the_run_and_leaves_its_rows_open(
    like: str, make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-wrong-and-long-enough")
    with ChatServer(like=like, api_key=KEY) as server:
        recipe = make_six(make_recipe, server.base_url, api_key_env="SOME_KEY")
        with pytest.raises(FatalEndpointError) as raised:
            run(recipe, tmp_path / "run")
        assert "sk-wrong" not in str(raised.value)
        assert not server.paid
        monkeypatch.setenv("SOME_KEY", KEY)
        assert run(recipe, tmp_path / "run").ok == 6
    assert server.repeats == 0


@pytest.mark.parametrize("like", ["ollama", "lm-studio", "litellm", "openrouter"])
def test_a_model_that_the_endpoint_does_not_know_stops_the_run(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like, models=("another-model",)) as server:
        recipe = make_six(make_recipe, server.base_url)
        with pytest.raises(FatalEndpointError):
            run(recipe, tmp_path / "run")
        assert read_status(RunFolder(tmp_path / "run")).rows["failed"] == 0
        server.models = None
        assert run(recipe, tmp_path / "run").ok == 6


@pytest.mark.parametrize("like", ["litellm", "lm-studio"])
def test_a_base_url_without_its_path_stops_the_run(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like) as server:
        recipe = make_six(make_recipe, server.base_url.removesuffix("/v1"))
        with pytest.raises(FatalEndpointError):
            run(recipe, tmp_path / "run")
    assert len(server.bodies) == 0


def test_an_account_without_credit_stops_the_run_though_its_error_comes_in_a_200(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like="openrouter", fault=lambda _: Fault(status=402, in_200=True)) as server:
        recipe = make_six(make_recipe, server.base_url)
        with pytest.raises(FatalEndpointError, match=NO_CREDIT):
            run(recipe, tmp_path / "run")
        server.fault = None
        assert run(recipe, tmp_path / "run").ok == 6


@pytest.mark.parametrize("like", ["vllm", "llama-cpp-python"])
def test_a_model_without_a_system_role_gets_its_system_message_in_the_user_turn(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like) as server:
        recipe = make_six(make_recipe, server.base_url, name="gemma-2-9b-it")
        data = run(recipe, tmp_path / "run")
    assert (data.ok, data.failed) == (6, 0)
    roles = [[message["role"] for message in body["messages"]] for body in server.bodies[-3:]]
    assert roles == [["user"]] * 3


@pytest.mark.parametrize("like", ["vllm", "anthropic"])
def test_a_max_tokens_beyond_the_context_is_lowered(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like, context_tokens=4_000) as server:
        data = run(make_six(make_recipe, server.base_url, max_tokens=3_500), tmp_path / "run")
    assert (data.ok, data.failed, server.repeats) == (6, 0, 0)


@pytest.mark.parametrize("like", ["llama-cpp", "gemini"])
def test_one_prompt_beyond_the_context_fails_its_row_alone(
    like: str, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    with ChatServer(like=like, context_tokens=6_000) as server:
        recipe = make_six(make_recipe, server.base_url)
        with (tmp_path / "instructions.jsonl").open("a") as file:
            file.write('{"id": "long", "prompt": "' + "Why? " * 6_000 + '"}\n')
        data = run(recipe, tmp_path / "run")
    assert (data.planned, data.ok, data.failed) == (8, 6, 2)


# The guide

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/how-to/endpoints.md").read_text(encoding="utf-8")


def test_every_recipe_of_the_endpoints_guide_compiles(tmp_path: Path) -> None:
    blocks = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', GUIDE, re.DOTALL | re.MULTILINE)
    for name, content in blocks:
        (tmp_path / name).write_text(content, encoding="utf-8")
    recipes = [name for name, _ in blocks if name.endswith(".yaml")]
    assert len(recipes) >= 12
    assert all(compile_plan(tmp_path / name).shards for name in recipes)


def test_the_endpoints_guide_names_every_personality_and_its_sources() -> None:
    for person in list_personalities()[1:]:
        assert f"`{person.name}`" in GUIDE
        assert {source for source in person.sources if source in GUIDE}
