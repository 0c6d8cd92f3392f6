"""JSON that is nearly valid is read where it has one meaning, and nowhere else."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.prompts.json_text import JsonError, list_objects
from multifaceted.prompts.reply import ReplyError, read_json

GOOD = {"a": "x", "b": [1, 2]}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x", "b": [1, 2],}',
        '{"a": "x", "b": [1, 2,],}',
        "{'a': 'x', 'b': [1, 2]}",
        '{a: "x", b: [1, 2]}',
        '{"a": "x", /* why */ "b": [1, 2] // so\n}',
        '```json\n{"a": "x", "b": [1, 2]}\n```',
        'Here you are:\n\n{"a": "x", "b": [1, 2]}\n\nI hope {this} helps :-}',
        'In the form {...} or {name}: {"a": "x", "b": [1, 2]}',
        '\ufeff{"a": "x", "b": [1, 2]}',
        json.dumps(json.dumps(GOOD)),
        '[{"a": "x", "b": [1, 2]}]',
        '{"a": "x", "b": (1, 2)}',
        '{"a": "x", "b": [1, 2]}\n{"a": "x", "b": [1, 2]}',
    ],
)
def test_what_has_one_meaning_is_read(text: str) -> None:
    assert read_json(text, dict) == GOOD


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        ('{"a": "two\nlines",}', {"a": "two\nlines"}),
        ("{'a': None, 'b': True, 'c': -1.5}", {"a": None, "b": True, "c": -1.5}),
        ('{"a": "it\'s {not} one"}', {"a": "it's {not} one"}),
        ("{'a': 'it\\'s'}", {"a": "it's"}),
    ],
)
def test_values_keep_what_they_hold(text: str, value: Any) -> None:
    assert read_json(text, dict) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "x", "b": [1, 2]',  # cut
        '{"a": "x',
        '{"a": "he said "no" to it"}',
        '{"a": 1 "b": 2}',
        '{"a": "\\(x\\)", "b": 2,}',  # LaTeX: the sign alone, or both?
        '{"a": 1, "a": 2,}',
        "{'a': 1, 'a': 2}",
        "{'a': open('x')}",
        "{'a': 1j}",
        '{"a": ' * 5000,
    ],
)
def test_what_would_have_to_be_guessed_is_not(text: str) -> None:
    with pytest.raises(ReplyError):
        read_json(text, dict)


def has_b(data: dict[str, Any]) -> dict[str, Any]:
    if "b" not in data:
        raise ReplyError(["'b' is missing"])
    return data


def test_of_several_objects_the_one_that_is_good_is_taken() -> None:
    assert read_json('The form is {"a": "..."}. So: {"a": "x", "b": [1, 2]}', has_b) == GOOD
    assert read_json('{"a": "x", "b": [1, 2]} and not {"c": 1}', has_b) == GOOD


def test_two_good_objects_that_differ_are_asked_about() -> None:
    with pytest.raises(ReplyError, match="2 different JSON objects"):
        read_json('{"b": 1} or rather {"b": 2}', has_b)


def test_where_none_is_good_the_last_one_says_why() -> None:
    with pytest.raises(ReplyError, match="'b' is missing"):
        read_json('{"b": } {"a": 1}', has_b)


def test_an_object_inside_a_broken_one_is_not_taken_for_the_answer() -> None:
    with pytest.raises(ReplyError, match="broken"):
        read_json('{"style": {"b": 1}, "mood": {"b": "he said "no""}}', has_b)


@settings(deadline=2000)
@given(text=st.text(alphabet="{}[]\"'\\:,/*# \nab1", max_size=200))
def test_any_text_is_listed_soon(text: str) -> None:
    assert all(isinstance(found, dict | JsonError) for found in list_objects(text * 20))
