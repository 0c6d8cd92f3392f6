"""The recipe: the one configuration file, its defaults, its overrides, and what it refuses."""

from pathlib import Path

import pytest

from multifaceted.errors import InputError
from multifaceted.models import EndpointModel, LocalModel
from multifaceted.planning import Recipe, load_recipe

EXAMPLE = """\
name: multifaceted_collection
seed: 7
instructions: {path: data/instructions.jsonl, limit: 500}
taxonomy: default
variants: 3
model:
  base_url: https://api.example.com/v1
  name: some-model
  api_key_env: EXAMPLE_KEY
  temperature: 0.7
  top_p: 0.95
  max_tokens: 2048
stages:
  response: {model: {name: another-model}}
concurrency: 32
shard_rows: 600
"""
HEAD = "instructions: {path: instructions.jsonl}\n"
LIVE = "model: {base_url: 'http://localhost:8000/v1', name: some-model}\n"


def read(folder: Path, text: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(path)


def faults_in(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    assert {problem.file for problem in caught.value.problems} == {str(folder / "recipe.yaml")}
    return [(problem.line, problem.where, problem.message) for problem in caught.value.problems]


def test_the_example_recipe_is_read_as_it_stands(tmp_path: Path) -> None:
    recipe = read(tmp_path, EXAMPLE)
    assert (recipe.name, recipe.seed, recipe.variants) == ("multifaceted_collection", 7, 3)
    assert (recipe.concurrency, recipe.shard_rows, recipe.taxonomy) == (32, 600, "default")
    assert recipe.instructions.limit == 500
    model = recipe.model
    assert isinstance(model, EndpointModel)
    assert (model.base_url, model.api_key_env) == ("https://api.example.com/v1", "EXAMPLE_KEY")
    assert (model.temperature, model.top_p, model.max_tokens) == (0.7, 0.95, 2048)


def test_a_stage_differs_from_the_model_only_in_what_it_names(tmp_path: Path) -> None:
    recipe = read(tmp_path, EXAMPLE)
    assert recipe.model_for("preferences") == recipe.model_for("system_message") == recipe.model
    assert recipe.model_for("response") == recipe.model.model_copy(update={"name": "another-model"})


def test_a_stage_may_unset_a_parameter_and_move_to_another_endpoint(tmp_path: Path) -> None:
    stage = "{temperature: null, base_url: 'http://localhost:9/v1', extra_body: {top_k: 5}}"
    recipe = read(tmp_path, EXAMPLE.replace("{model: {name: another-model}}", f"{{model: {stage}}}"))
    model = recipe.model_for("response")
    assert isinstance(model, EndpointModel)
    assert (model.temperature, model.top_p, model.base_url) == (None, 0.95, "http://localhost:9/v1")
    assert (model.name, model.extra_body) == ("some-model", {"top_k": 5})


def test_a_parameter_of_null_is_kept_as_none(tmp_path: Path) -> None:
    text = HEAD + "model: {base_url: 'http://h', name: m, temperature: null, top_p: null, max_tokens: null}\n"
    model = read(tmp_path, text).model
    assert (model.temperature, model.top_p, model.max_tokens) == (None, None, None)


@pytest.mark.parametrize("text", ["model: local", "model: {kind: local}", "model: {weights: builtin}"])
def test_the_embedded_model_may_be_named_briefly(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, HEAD + text).model == LocalModel()


def test_relative_paths_are_read_from_the_folder_of_the_recipe(tmp_path: Path) -> None:
    text = (
        HEAD + LIVE + "taxonomy: mine.yaml\nstages: {response: {template: own/response.j2}}\nrepair: r.j2\n"
    )
    recipe = read(tmp_path, text)
    assert recipe.instructions.path == tmp_path / "instructions.jsonl"
    assert recipe.taxonomy == str(tmp_path / "mine.yaml")
    assert recipe.stages["response"].template == tmp_path / "own/response.j2"
    assert recipe.repair == tmp_path / "r.j2"
    elsewhere = read(tmp_path, "instructions: {path: /data/pool.jsonl}\n" + LIVE)
    assert elsewhere.instructions.path == Path("/data/pool.jsonl")


def test_weights_are_read_from_the_folder_of_the_recipe_too(tmp_path: Path) -> None:
    model = read(tmp_path, HEAD + "model: {kind: local, weights: x.gguf}\n").model
    assert isinstance(model, LocalModel)
    assert model.weights == str(tmp_path / "x.gguf")


@pytest.mark.parametrize("weights", ["builtin", "hf:org/repo/file.gguf", "/models/x.gguf"])
def test_weights_that_are_no_relative_path_stay_as_they_are(tmp_path: Path, weights: str) -> None:
    model = read(tmp_path, HEAD + f"model: {{kind: local, weights: '{weights}'}}\n").model
    assert isinstance(model, LocalModel)
    assert model.weights == weights


def test_unknown_keys_get_the_nearest_name_with_their_line(tmp_path: Path) -> None:
    text = (
        HEAD
        + LIVE.replace("name:", "temprature: 1, name:")
        + "variant: 3\nstages:\n  response:\n    model:\n      nme: x\n"
    )
    assert faults_in(tmp_path, text) == [
        (2, "model.temprature", "unknown key 'temprature'; did you mean 'temperature'?"),
        (3, "variant", "unknown key 'variant'; did you mean 'variants'?"),
        (7, "stages.response.model.nme", "unknown key 'nme'; did you mean 'name'?"),
    ]


def test_a_key_of_the_other_kind_of_model_is_not_suggested(tmp_path: Path) -> None:
    [(line, where, message)] = faults_in(tmp_path, HEAD + "model: {kind: local, base_url: 'http://h'}\n")
    assert (line, where) == (2, "model.base_url")
    assert message.startswith("unknown key 'base_url'")
    assert "did you mean 'base_url'" not in message


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (LIVE + "stages: {respons: {model: {name: x}}}\n", "stages.respons"),
        (LIVE + "stages: {respons: {template: x.j2}}\n", "stages.respons"),
        (LIVE + "variants: 0\n", "variants"),
        (LIVE + "concurrency: many\n", "concurrency"),
        (LIVE + "name: ../escape\n", "name"),
        (LIVE + "name: a/b\n", "name"),
        ("model: {base_url: 'http://h', name: m, extra_body: {b: .nan}}\n", "model.extra_body"),
        ("model: {kind: remote}\n", "model"),
        ("model: locl\n", "model"),
        ("model: {name: some-model}\n", "model"),
        ("model: {base_url: 'localhost:8000', name: m}\n", "model.base_url"),
        ("model: {base_url: 'http://h', name: m, temperature: -1}\n", "model.temperature"),
        ("model: {base_url: 'http://h', name: m, top_p: 1.5}\n", "model.top_p"),
        (LIVE + "stages: {response: {model: {max_tokens: 0}}}\n", "stages.response.model.max_tokens"),
    ],
)
def test_a_wrong_value_is_reported_at_its_place(tmp_path: Path, text: str, where: str) -> None:
    [(line, found, _)] = faults_in(tmp_path, HEAD + text)
    assert found == where
    assert line in (2, 3)


def test_a_recipe_must_name_instructions_and_a_model(tmp_path: Path) -> None:
    assert faults_in(tmp_path, "seed: 1\n") == [
        (1, "", "'instructions' is missing"),
        (1, "", "'model' is missing"),
    ]


@pytest.mark.parametrize("place", ["model", "stages"])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path, place: str) -> None:
    secret = "base_url: 'http://user:hunter2@host/v1'"
    text = (
        f"model: {{{secret}, name: m}}\n"
        if place == "model"
        else LIVE + f"stages: {{response: {{model: {{{secret}}}}}}}\n"
    )
    [(_, where, message)] = faults_in(tmp_path, HEAD + text)
    assert where.endswith("base_url")
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "url", ["host/v1", "http://", "http://host:many/v1", "http://h:99999/v1", "http://[::1/v1"]
)
def test_a_base_url_that_leads_nowhere_is_refused(tmp_path: Path, url: str) -> None:
    [(_, where, message)] = faults_in(tmp_path, f"{HEAD}model: {{base_url: '{url}', name: m}}\n")
    assert (where, "must begin with http:// or https:// and a host" in message) == ("model.base_url", True)


ENDPOINTS = "endpoints: [{base_url: 'http://a/v1'}, {base_url: 'http://b/v1'}]"
SPREAD = f"model: {{name: some-model, {ENDPOINTS}}}\n"


@pytest.mark.parametrize("places", [f"base_url: 'http://c/v1', {ENDPOINTS}", "endpoints: []"])
def test_a_stage_takes_either_a_base_url_or_endpoints(tmp_path: Path, places: str) -> None:
    text = HEAD + LIVE + f"stages:\n  response: {{model: {{{places}}}}}\n"
    [(line, where, message)] = faults_in(tmp_path, text)
    assert (line, where) == (4, "stages.response.model")
    assert message.startswith("takes either base_url or endpoints")


@pytest.mark.parametrize("name", ["api_key_env: KEY", "requests_per_minute: 60", "tokens_per_minute: 900"])
def test_what_a_stage_says_of_one_place_is_refused_where_there_are_endpoints(
    tmp_path: Path, name: str
) -> None:
    where, refused = f"stages.response.model.{name.partition(':')[0]}", "belongs to each of the endpoints"
    stage = f"stages:\n  response:\n    model:\n      max_tokens: 9\n      {name}\n"
    [(line, found, message)] = faults_in(tmp_path, HEAD + SPREAD + stage)
    assert (line, found) == (7, where)
    assert message.startswith(refused)
    own = f"{stage}      {ENDPOINTS}\n"
    [(line, found, message)] = faults_in(tmp_path, HEAD + LIVE + own)
    assert (line, found) == (7, where)
    assert message.startswith(refused)
    elsewhere = read(tmp_path, HEAD + SPREAD + f"{stage}      base_url: http://c/v1\n").model_for("response")
    assert isinstance(elsewhere, EndpointModel)
    assert [place.base_url for place in elsewhere.served_at] == ["http://c/v1"]


@pytest.mark.parametrize(
    ("stage", "inherits"),
    [
        ("{name: another-model}", False),
        ("{name: some-model, max_tokens: 9}", True),
        ("{base_url: 'http://b/v1'}", True),
    ],
)
def test_prices_belong_to_the_name_of_the_model(tmp_path: Path, stage: str, inherits: bool) -> None:
    model = "model: {base_url: 'http://a/v1', name: some-model, prices: {input: 1, output: 2}}\n"
    recipe = read(tmp_path, HEAD + model + f"stages: {{response: {{model: {stage}}}}}\n")
    found = [recipe.model_for(name) for name in ("system_message", "response")]
    prices = [model.prices for model in found if isinstance(model, EndpointModel)]
    assert [price is not None for price in prices] == [True, inherits]


def test_a_stage_of_the_embedded_model_takes_no_name(tmp_path: Path) -> None:
    text = HEAD + "model: local\nstages:\n  response:\n    model:\n      temperature: 0\n      name: x\n"
    [(line, where, message)] = faults_in(tmp_path, text)
    assert (line, where) == (7, "stages.response.model.name")
    assert message.startswith("unknown key 'name'")
    allowed = read(tmp_path, text.replace("      name: x\n", ""))
    assert allowed.model_for("response") == LocalModel(temperature=0)


@pytest.mark.parametrize(("shard_rows", "variants", "expected"), [(600, 3, 200), (7, 3, 2), (1, 3, 1)])
def test_a_shard_holds_whole_instructions(
    tmp_path: Path, shard_rows: int, variants: int, expected: int
) -> None:
    recipe = read(tmp_path, HEAD + LIVE + f"shard_rows: {shard_rows}\nvariants: {variants}\n")
    assert recipe.instructions_per_shard == expected


@pytest.mark.parametrize(
    "models",
    [
        "model: local\n",
        LIVE
        + "stages: {response: {model: {endpoints: [{base_url: 'http://a/v1'}, {base_url: 'http://b/v1'}]}}}\n",
    ],
)
def test_batches_need_one_endpoint_for_each_model(tmp_path: Path, models: str) -> None:
    [(_, _, message)] = faults_in(tmp_path, HEAD + models + "mode: batch\n")
    assert "behind one endpoint each" in message


def test_kept_fields_stand_in_the_order_that_they_are_named_in(tmp_path: Path) -> None:
    recipe = read(tmp_path, "instructions: {path: i.jsonl, keep: [topic, User_1]}\n" + LIVE)
    assert recipe.instructions.keep == ("topic", "User_1")
    assert read(tmp_path, HEAD + LIVE).instructions.keep == ()


def test_kept_fields_that_cannot_be_columns_are_refused_with_their_line(tmp_path: Path) -> None:
    wrong = ["user id", "1st", "_x", "prompt", "licence", "instruction_id", "output", "rubrics"]
    lines = "".join(f"    - {name}\n" for name in wrong)
    found = faults_in(tmp_path, f"instructions:\n  path: i.jsonl\n  keep:\n{lines}" + LIVE)
    assert [(line, where) for line, where, _ in found] == [
        (number + 4, f"instructions.keep[{number}]") for number in range(len(wrong))
    ]
    [(line, where, message)] = faults_in(tmp_path, "instructions: {path: i.jsonl, keep: [a, b, a]}\n" + LIVE)
    assert (line, where) == (1, "instructions.keep")
    assert "names twice: a" in message
