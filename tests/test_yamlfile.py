"""YAML files that people write: every fault has its line, and a misspelt key its neighbour."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from multifaceted.errors import InputError, Problem
from multifaceted.yamlfile import YamlDocument, known_keys, read_yaml


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: str = "green"
    length: int = 1


class Cat(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["cat"]
    whiskers: int


class Fish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Literal["fish"]
    scales: list[Leaf] | None = None


class Garden(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    leaves: list[Leaf] = []
    beds: dict[str, Leaf] = {}
    pet: Annotated[Cat | Fish, Field(discriminator="kind")] | None = None


def read_text(folder: Path, text: str | bytes) -> YamlDocument:
    path = folder / "garden.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


def problems_of(folder: Path, text: str | bytes) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        read_text(folder, text).validate(Garden)
    assert {problem.file for problem in caught.value.problems} == {str(folder / "garden.yaml")}
    return caught.value.problems


def test_a_sound_file_becomes_its_model(tmp_path: Path) -> None:
    garden = read_text(tmp_path, "title: Mine\nleaves: [{colour: red}]\n").validate(Garden)
    assert (garden.title, garden.leaves[0].colour) == ("Mine", "red")


def test_every_value_knows_its_line_and_an_unknown_path_that_of_its_parent(tmp_path: Path) -> None:
    document = read_text(tmp_path, "# first\ntitle: a\nleaves:\n  - colour: red\n  -\n    colour: blue\n")
    assert document.line_of(("title",)) == 2
    assert document.line_of(("leaves",)) == 3
    assert document.line_of(("leaves", 0, "colour")) == 4
    assert document.line_of(("leaves", 1, "colour")) == 6
    assert document.line_of(("leaves", 0, "length")) == 4
    assert document.problem(("leaves", 1, "colour"), "is dull") == Problem(
        document.file, 6, "is dull", "leaves[1].colour"
    )


def test_every_fault_is_reported_with_its_line(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "leaves:\n  - length: one\n  - colour: red\n    length: two\nbeds: 3\n")
    assert [(problem.line, problem.where) for problem in found] == [
        (1, ""),
        (2, "leaves[0].length"),
        (4, "leaves[1].length"),
        (5, "beds"),
    ]
    assert found[0].message == "'title' is missing"


def test_a_doubled_key_is_reported_beside_the_other_faults(tmp_path: Path) -> None:
    found = problems_of(tmp_path, "title: a\nbeds:\n  west: {}\n  west: {length: x}\ntitle: b\n")
    assert {(problem.line, problem.where) for problem in found} == {
        (4, "beds"),
        (4, "beds.west.length"),
        (5, ""),
    }
    assert str(found[-1]).endswith("garden.yaml:5: key 'title' stands twice")


def test_a_merged_anchor_may_be_overridden(tmp_path: Path) -> None:
    text = "title: a\nbeds:\n  west: &west {colour: red, length: 2}\n  east:\n    <<: *west\n    length: 3\n"
    garden = read_text(tmp_path, text).validate(Garden)
    assert garden.beds["east"] == Leaf(colour="red", length=3)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "is empty"),
        ("# nothing but a remark\n", 0, "is empty"),
        ("title: a\nleaves: [1,\n", 3, "is not valid YAML"),
        ("title: 'a\n", 2, "is not valid YAML"),
        ("title: a\n---\ntitle: b\n", 2, "is not valid YAML"),
        (b"title: \xff\n", 1, "is not UTF-8 text"),
        ("- a\n- b\n", 1, "must be a map"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused(
    tmp_path: Path, text: str | bytes, line: int, message: str
) -> None:
    [problem] = problems_of(tmp_path, text)
    assert problem.line == line
    assert message in problem.message


def test_a_value_that_yaml_cannot_build_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "title: 2024-13-01\n")  # looks like a date, and is none
    assert "month must be in 1..12" in problem.message


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read: No such file"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel: a\ntitle: b\n", "unknown key 'titel'; did you mean 'title'?"),
        ("title: a\nleaves: [{color: red}]\n", "unknown key 'color'; did you mean 'colour'?"),
        ("title: a\nbeds: {west: {lenght: 2}}\n", "unknown key 'lenght'; did you mean 'length'?"),
        ("title: a\npet: {kind: cat, whisker: 2, whiskers: 1}\n", "did you mean 'whiskers'?"),
        ("title: a\npet: {kind: fish, scales: [{colur: x}]}\n", "did you mean 'colour'?"),
        ("title: a\nbeds: {west: {zzz: 2}}\n", "unknown key 'zzz'; known here: colour, length"),
    ],
)
def test_an_unknown_key_gets_the_nearest_known_name(tmp_path: Path, text: str, message: str) -> None:
    [problem] = problems_of(tmp_path, text)
    assert message in problem.message


def test_known_keys_are_found_through_unions_lists_and_mappings() -> None:
    assert known_keys(Garden, ()) == ["beds", "leaves", "pet", "title"]
    assert known_keys(Garden, ("leaves", 3)) == ["colour", "length"]
    assert known_keys(Garden, ("beds", "west")) == ["colour", "length"]
    assert known_keys(Garden, ("pet",)) == ["kind", "scales", "whiskers"]
    assert known_keys(Garden, ("pet", "scales", 0)) == ["colour", "length"]


def test_a_long_wrong_value_is_not_repeated(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, f"title: a\nbeds: {'x' * 500}\n")
    assert "xxx" not in problem.message


def test_a_key_that_is_no_text_is_a_fault_of_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n? [1, 2]\n: 3\n")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert [(p.line, p.message) for p in caught.value.problems] == [
        (2, "a key must be text, and no map or list")
    ]
