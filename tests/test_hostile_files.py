"""Files of a stranger: bombs, depths, pipes, devices and odd values end with their place, and at once."""

import os
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted

from multifaceted.errors import InputError
from multifaceted.inputfile import MAX_TEXT, read_input_text, require_input
from multifaceted.instructions.rows import read_rows
from multifaceted.yamlfile import read_yaml
from multifaceted.yamllimits import MAX_DEPTH, MAX_VALUES

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
MERGES = "a0: &a0 {k: [x, x]}\n" + "".join(
    f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}}}\n" for n in range(1, 40)
)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (BOMB, None, "too many values"),
        (MERGES, None, "too many values"),
        ("k: [" + "x, " * MAX_VALUES + "]\n", 1, "too many values"),
        ("a: " + "[" * 200_000, 1, "nested too deeply"),
        ("a: " + "{a: " * 200_000, 1, "nested too deeply"),
        ("- " * 5_000 + "x", 1, "nested too deeply"),
        ("a: &a [1, *a]\n", 1, "stands inside itself"),
        ("x: 1\na: &a\n  b: {c: *a}\n", 3, "stands inside itself"),
        ("? {a: b}\n: c\n", 1, "a key must be text"),
        ("x: &k [a]\n*k : c\n", 2, "a key must be text"),
        ("x: 1\n? [a, b]\n: c\n", 2, "a key must be text"),
        ("x: 1\nb: !!binary aGVsbG8=\n", 2, "the tag '!!binary' is not read"),
        ("b: !!set {a, b}\n", 1, "'!!set'"),
        ("b: !!python/object/apply:os.system [ls]\n", 1, "!!python/object/apply:os.system"),
        ("b: !mine 1\n", 1, "the tag '!mine'"),
        ("b: *nowhere\n", 1, "is not valid YAML: found undefined alias"),
        ("a: 1\n<<: [1, 2]\n", None, "merging"),
        ("a: \x00\n", None, "is not valid YAML"),
    ],
)
def test_hostile_yaml_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int | None, message: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "x.yaml")
    assert message in caught.value.message
    assert line is None or [problem.line for problem in caught.value.problems] == [line]


def test_every_odd_value_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: !!binary aA==\nb:\n  - !x 1\n  - ? [k]\n    : 1\n")
    with pytest.raises(InputError) as caught:
        read_yaml(tmp_path / "x.yaml")
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4]


def test_what_people_write_still_passes(tmp_path: Path) -> None:
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    text = f"\ufeffbase: &b {{x: 1}}\nmore: {{<<: *b, y: !!str 2}}\ndeep: {deep}\nagain: [*b, *b, ! z]\n"
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    data = read_yaml(tmp_path / "x.yaml").data
    assert (data["more"], data["again"]) == ({"x": 1, "y": "2"}, [{"x": 1}, {"x": 1}, "z"])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "long name", "nul", "lost link", "huge"])
def test_what_is_no_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "long name":
        path = tmp_path / ("x" * 5000)
    elif kind == "nul":
        path = tmp_path / "a\0b"
    elif kind == "lost link":
        path.symlink_to("nowhere")
    else:
        with path.open("wb") as file:
            file.truncate(MAX_TEXT + 1)
    with pytest.raises(InputError) as caught:
        read_input_text(path)
    assert len(caught.value.message) < 500
    if kind != "huge":  # pools may be as long as they like
        with pytest.raises(InputError):
            list(read_rows(path, "jsonl"))
        with pytest.raises(InputError):
            require_input(path)


def test_pipes_and_devices_in_a_recipe_are_problems(make_recipe: MakeRecipe, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    places: tuple[dict[str, Any], ...] = (
        {"instructions": {"path": "pipe.jsonl"}},
        {"instructions": {"path": "x" * 5000 + ".jsonl"}},
        {"instructions": {"path": "a\0b.jsonl"}},
        {"taxonomy": "/dev/zero"},
        {"taxonomy": "pipe.jsonl"},
        {"repair": "pipe.jsonl"},
        {"stages": {"response": {"template": "/dev/zero"}}},
    )
    for changes in places:
        ended = multifaceted("plan", make_recipe("http://127.0.0.1:9/v1", **changes), cwd=tmp_path)
        assert (ended.returncode, "cannot be read" in ended.stderr) == (2, True), (changes, ended.stderr)
    ended = multifaceted("plan", "pipe.jsonl", cwd=tmp_path)
    assert ended.returncode == 2
    assert "is a pipe or a device" in ended.stderr


@pytest.mark.parametrize("cap", ["nan", "inf", "-inf", "-1", "0", "1e400"])
def test_a_cap_that_is_none_is_refused(make_recipe: MakeRecipe, tmp_path: Path, cap: str) -> None:
    recipe = make_recipe("http://127.0.0.1:9/v1")
    ended = multifaceted("generate", recipe, "--run", "run", f"--max-usd={cap}", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--max-usd" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("url", ["http://x/v1\n", "http://x\t/v1", "http://x/v 1", "http://x/\u2028v1"])
def test_line_ends_in_a_url_are_refused(make_recipe: MakeRecipe, tmp_path: Path, url: str) -> None:
    ended = multifaceted("plan", make_recipe(url), cwd=tmp_path)
    assert ended.returncode == 2
    assert "no blanks" in ended.stderr
