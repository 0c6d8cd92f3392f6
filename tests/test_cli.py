"""The commands as a user types them: what they print, what they write, and their exit codes."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import MakeRecipe
from fork_server import run_multifaceted

from multifaceted.testing import ChatServer, Fault


def multifaceted(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    result = run_multifaceted(*words, cwd=cwd)
    assert "Traceback" not in result.stderr
    return result


def test_the_whole_way_from_recipe_to_checked_folder(
    server: ChatServer, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(server.base_url)
    made = multifaceted("generate", recipe, "--run", tmp_path / "run")
    assert (made.returncode, made.stdout.splitlines()[0]) == (0, "30 rows planned = 30 ok + 0 failed")
    out = tmp_path / "multifaceted_collection"
    assert multifaceted("build", tmp_path / "run", "--out", out, "--format", "parquet").returncode == 0
    checked = multifaceted("check", out)
    assert (checked.returncode, "nothing is wrong" in checked.stdout) == (0, True)
    status = json.loads(multifaceted("status", tmp_path / "run", "--json").stdout)
    assert status["rows"] == {"planned": 30, "ok": 30, "failed": 0, "pending": 0}
    assert status["requests"]["total"] == 90
    assert status["tokens"]["prompt"] > 0
    assert ": finished, " in multifaceted("status", tmp_path / "run").stdout


def test_failed_rows_make_exit_code_1_and_are_accounted_for(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    def refuse_some(body: dict[str, object]) -> Fault | None:
        return Fault(refusal="No.") if int(str(body["seed"])) % 5 == 0 else None

    with ChatServer(fault=refuse_some) as server:
        made = multifaceted("generate", make_recipe(server.base_url), "--run", tmp_path / "run", "--json")
    assert made.returncode == 1
    rows = json.loads(made.stdout.splitlines()[-1])["rows"]
    assert rows["failed"] > 0
    assert rows["planned"] == rows["ok"] + rows["failed"] == 30
    records = (tmp_path / "run/shards").glob("*/failures.jsonl")
    lines = [json.loads(line) for file in records for line in file.read_text().splitlines()]
    assert len(lines) == rows["failed"]
    assert {line["kind"] for line in lines} == {"refused"}


def test_plan_and_preview_need_no_network_and_write_nothing(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    recipe = make_recipe("http://127.0.0.1:9/v1")
    before = sorted(tmp_path.rglob("*"))
    planned = multifaceted("plan", recipe, "--json")
    assert json.loads(planned.stdout)["requests"]["total"] == 90
    assert "30 rows" in multifaceted("plan", recipe).stdout
    preview = multifaceted("preview", recipe, "-n", "2")
    assert preview.returncode == 0
    assert preview.stdout.count("Question 0: why?") == 4
    assert sorted(tmp_path.rglob("*")) == before


def test_preview_with_ask_shows_real_replies_and_pays_for_them_once(
    server: ChatServer, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = make_recipe(server.base_url)
    for _ in range(2):
        shown = multifaceted("preview", recipe, "-n", "2", "--ask")
        assert shown.returncode == 0
        assert "i0-v2" in shown.stdout
    assert len(server.bodies) == 6


def test_init_makes_a_recipe_that_compiles_and_never_overwrites(tmp_path: Path) -> None:
    made = multifaceted("init", tmp_path / "mine")
    assert made.returncode == 0
    assert multifaceted("plan", tmp_path / "mine/recipe.yaml").returncode == 0
    (tmp_path / "mine/recipe.yaml").write_text("my own work")
    (tmp_path / "mine/taxonomy.yaml").unlink()
    again = multifaceted("init", tmp_path / "mine")
    assert again.returncode == 2
    assert "recipe.yaml: exists already" in again.stderr
    assert (tmp_path / "mine/recipe.yaml").read_text() == "my own work"
    assert not (tmp_path / "mine/taxonomy.yaml").exists()


def test_every_problem_of_bad_input_is_listed_with_its_line_and_nothing_is_written(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    recipe = make_recipe(
        "http://127.0.0.1:9/v1", taxonomy="tax.yaml", stages={"response": {"template": "r.j2"}}, repair="p.j2"
    )
    (tmp_path / "instructions.jsonl").write_text('{"id": "a", "prompt": "p"}\n{broken\n{"id": "b"}\n')
    (tmp_path / "r.j2").write_text("{% block user %}\n{{ instructoin }}{% endblock %}")
    (tmp_path / "p.j2").write_text("{% block user %}{{ }}{% endblock %}")
    (tmp_path / "tax.yaml").write_text("name: t\nversion: one\ndimensions: []\nextra: 1\n")
    result = multifaceted("generate", recipe, "--run", tmp_path / "run")
    assert result.returncode == 2
    for words in (
        "instructions.jsonl:2: is not valid JSON",
        "instructions.jsonl:3: 'prompt' is missing",
        "r.j2:2: unknown variable 'instructoin'; did you mean 'instruction'?",
        "p.j2:1: template syntax",
        "tax.yaml:2: version",
        "tax.yaml:3: dimensions",
        "tax.yaml:4: extra: unknown key 'extra'",
    ):
        assert words in result.stderr
    assert result.stderr.startswith("7 problems:")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "recipe.yaml: is empty"),
        ("variants: [", "recipe.yaml:2: is not valid YAML"),
        ("- a\n- b\n", "recipe.yaml:1: "),
        ("name: x\nvariant: 3\n", "recipe.yaml:2: variant: unknown key 'variant'; did you mean 'variants'?"),
    ],
)
def test_a_bad_recipe_is_exit_code_2_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "recipe.yaml").write_text(content)
    result = multifaceted("plan", tmp_path / "recipe.yaml")
    assert result.returncode == 2
    assert words in result.stderr


def test_a_wrong_key_is_exit_code_2_and_stands_in_no_output(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with ChatServer(api_key="another") as server:
        result = multifaceted("generate", make_recipe(server.base_url), "--run", tmp_path / "run", "-v")
    assert result.returncode == 2
    assert "HTTP 401" in result.stderr
    assert "hint:" in result.stderr
    assert "sk-very-secret" not in result.stdout + result.stderr


def test_no_server_is_exit_code_2(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    result = multifaceted("generate", make_recipe("http://127.0.0.1:9/v1"), "--run", tmp_path / "run")
    assert result.returncode == 2
    assert "no server answers at http://127.0.0.1:9/v1" in result.stderr


@pytest.mark.parametrize("command", ["status", "build", "check"])
def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path, command: str) -> None:
    out: tuple[str | Path, ...] = ("--out", tmp_path / "out") if command == "build" else ()
    result = multifaceted(command, tmp_path, *out)
    assert result.returncode == (1 if command == "check" else 2)
    assert str(tmp_path) in result.stdout + result.stderr


@pytest.mark.parametrize(
    "command",
    [
        (),
        *((name,) for name in ("init", "plan", "preview", "generate", "status", "build", "check")),
        ("model", "install"),
        *(("taxonomy", name) for name in ("show", "check", "diff", "schema")),
    ],
)
def test_every_command_explains_itself_with_an_example(command: tuple[str, ...]) -> None:
    shown = multifaceted(*command, "--help")
    assert shown.returncode == 0
    assert not command or "Example:" in shown.stdout


def test_taxonomy_commands_speak_json(tmp_path: Path) -> None:
    shown = json.loads(multifaceted("taxonomy", "show", "--json").stdout)
    (tmp_path / "t.json").write_text(json.dumps(shown | {"dimensions": shown["dimensions"][:3]}))
    found = json.loads(multifaceted("taxonomy", "diff", "default", tmp_path / "t.json", "--json").stdout)
    assert found["bump"] == "major"
    assert "harmlessness" in found["removed"]
    assert "plain-words" in multifaceted("taxonomy", "show", "--under", "style/clarity").stdout
    assert json.loads(multifaceted("taxonomy", "schema").stdout)["title"] == "Taxonomy"
    assert multifaceted("taxonomy", "check", tmp_path / "none.yaml").returncode == 2
