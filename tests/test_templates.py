"""Templates: what is refused before a request is spent, and that instructions are never evaluated."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from multifaceted.errors import InputError, Problem
from multifaceted.prompts.template import Template, load_template, shipped_template
from multifaceted.records import Message

SEED = {
    "dimension": "style",
    "subdimension": "Tone",
    "description": "How it sounds.",
    "examples": [{"name": "Warm words", "description": "Wants warmth."}],
}
VALUES: dict[str, dict[str, Any]] = {
    "preference_set": {
        "dimensions": [{"slug": "style", "name": "Style", "description": "How it is written."}],
        "instruction": "Why is the sky blue?",
        "seeds": [SEED],
    },
    "system_message": {"descriptions": ["Wants warmth.", "Knows little."]},
    "response": {"instruction": "Why is the sky blue?", "system_message": "Be warm."},
    "rubric": {
        "instruction": "Why is the sky blue?",
        "dimension": "style",
        "subdimension": "Tone",
        "preference": "Warm words",
        "description": "Wants warmth.",
    },
    "repair": {"problems": ["dimension 'style' is missing"]},
}


def load(name: str, path: Path | None = None) -> Template:
    """A template that may speak of what it is given here."""
    return load_template(name, path, variables=VALUES[name])


def write_template(folder: Path, text: str) -> Path:
    path = folder / "own.j2"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(folder: Path, text: str, *, name: str = "response") -> list[Problem]:
    path = write_template(folder, text)
    with pytest.raises(InputError) as caught:
        load(name, path).render(VALUES[name])
    assert {problem.file for problem in caught.value.problems} == {str(path)}
    return caught.value.problems


@pytest.mark.parametrize("name", list(VALUES))
def test_every_shipped_template_renders_what_it_is_given(name: str) -> None:
    turns = load(name).render(VALUES[name])
    assert [turn.role for turn in turns] == (["user"] if name == "repair" else ["system", "user"])
    text = "\n".join(turn.content for turn in turns)
    told = {
        "preference_set": ["style", "How it is written.", "Why is the sky blue?", "Tone", "Warm words"],
        "system_message": ["Wants warmth.", "Knows little."],
        "response": ["Why is the sky blue?", "Be warm."],
        "rubric": ["Why is the sky blue?", "style", "Tone", "Warm words", "Wants warmth."],
        "repair": ["dimension 'style' is missing"],
    }
    assert [part for part in told[name] if part not in text] == []


@pytest.mark.parametrize("name", list(VALUES))
def test_the_hash_is_the_sha256_of_the_shipped_file(name: str) -> None:
    assert load(name).hash == hashlib.sha256(shipped_template(name).read_bytes()).hexdigest()


def test_a_changed_template_has_another_hash(tmp_path: Path) -> None:
    text = "{% block user %}ねえ {{ instruction }}{% endblock %}\n"
    found = load("response", write_template(tmp_path, text))
    assert found.hash == hashlib.sha256(text.encode()).hexdigest()
    assert load("response", write_template(tmp_path, f"{text} ")).hash != found.hash


@settings(deadline=None)
@given(instruction=st.text(min_size=1), system=st.text(min_size=1))
@example(instruction="{{ 7*7 }}", system="{{ instruction }}")
@example(instruction="{% raw %}", system="{% endblock %}")
@example(instruction=" \n two\r\n", system="\n\n")
def test_the_response_prompt_is_the_instruction_verbatim(instruction: str, system: str) -> None:
    turns = load("response").render({"instruction": instruction, "system_message": system})
    assert turns == (Message("system", system), Message("user", instruction))


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% raw %}", "{# hush #}", "{{ seeds }}", "</instruction>"])
def test_an_instruction_is_never_evaluated(text: str) -> None:
    _, user = load("preference_set").render({**VALUES["preference_set"], "instruction": text})
    assert f"\n{text}\n" in user.content


def test_the_system_block_of_the_preference_set_is_the_same_for_every_row() -> None:
    template = load("preference_set")
    values = VALUES["preference_set"]
    one, other = (
        template.render({**values, "instruction": text, "seeds": [{**SEED, "subdimension": text}]})
        for text in ("How?", "When?")
    )
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_an_empty_block_gives_no_turn(tmp_path: Path) -> None:
    text = "{% block system %}{{ system_message }}{% endblock %}{% block user %}Hi{% endblock %}"
    template = load("response", write_template(tmp_path, text))
    assert template.render({"system_message": "", "instruction": "x"}) == (Message("user", "Hi"),)


def test_an_unknown_variable_is_reported_with_its_line_and_neighbour(tmp_path: Path) -> None:
    text = "{% block user %}\n{{ instructions }}\n{% if mood %}{% endif %}\n{% endblock %}"
    assert [(p.line, p.message) for p in problems_of(tmp_path, text)] == [
        (2, "unknown variable 'instructions'; did you mean 'instruction'?"),
        (3, "unknown variable 'mood'; known here: instruction, system_message"),
    ]


def test_a_variable_of_another_template_is_unknown(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "{% block user %}{{ instruction }}{% endblock %}", name="repair")
    assert problem.message == "unknown variable 'instruction'; known here: problems"


def test_an_unknown_block_and_a_missing_one_are_reported_together(tmp_path: Path) -> None:
    missing, unknown = problems_of(tmp_path, "\n{% block usr %}{{ instruction }}{% endblock %}")
    assert missing.message == "has no {% block user %}"
    assert (unknown.line, unknown.message) == (2, "unknown block 'usr'; did you mean 'user'?")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{% block user %}\n{{ instruction }\n{% endblock %}", 2),
        ("{% block user %}\n\n{% if instruction %}", 3),
        ("{% block user %}\n{{ instruction | nofilter }}{% endblock %}", 2),
    ],
)
def test_a_syntax_error_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    [problem] = problems_of(tmp_path, text)
    assert problem.line == line
    assert problem.message.startswith("template syntax: ")


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("instruction.__class__.__mro__", "unsafe"),
        ("instruction | attr('__class__')", "unsafe"),
        ("seeds.append(1)", "unsafe"),
        ("seeds[0].update(dimension='x')", "unsafe"),
        ("seeds[0].dimensoin", "dimensoin"),
        ("seeds[3]", "no element 3"),
        ("instruction + 1", "str"),
        ("1 / 0", "division by zero"),
        ("range(10 ** 9) | list", "Range too big"),
        ("'{1}'.format(2)", "out of range"),
    ],
)
def test_an_expression_that_fails_is_a_problem_of_its_line(
    tmp_path: Path, expression: str, part: str
) -> None:
    text = f"{{% block user %}}\nfine\n{{{{ {expression} }}}}\n{{% endblock %}}"
    [problem] = problems_of(tmp_path, text, name="preference_set")
    assert problem.line == 3
    assert part in problem.message


def test_what_a_template_may_not_change_stays_unchanged(tmp_path: Path) -> None:
    problems_of(tmp_path, "{% block user %}{{ seeds.clear() }}{% endblock %}", name="preference_set")
    assert VALUES["preference_set"]["seeds"] == [SEED]


def test_a_template_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.j2").write_bytes(b"{% block user %}\xff{% endblock %}")
    for name in ("none.j2", "latin.j2"):
        with pytest.raises(InputError, match=f"{name}: cannot be read: "):
            load("response", tmp_path / name)
