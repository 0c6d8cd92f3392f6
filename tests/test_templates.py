"""Templates: what is refused before a request is spent, and that instructions are never evaluated."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

from multifaceted.building.card_template import load_card_template
from multifaceted.curation.judge_prompt import JudgePrompt
from multifaceted.errors import InputError, Problem
from multifaceted.jinjafile import PURE_FILTERS, PURE_FUNCTIONS, PURE_TESTS, strict_environment
from multifaceted.prompts.template import Template, load_repair, load_template, shipped_template
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
        "sampled": [SEED],
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


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "{% raw %}", "{# hush #}", "{{ sampled }}", "</instruction>"])
def test_an_instruction_is_never_evaluated(text: str) -> None:
    _, user = load("preference_set").render({**VALUES["preference_set"], "instruction": text})
    assert f"\n{text}\n" in user.content


def test_the_system_block_of_the_preference_set_is_the_same_for_every_row() -> None:
    template = load("preference_set")
    values = VALUES["preference_set"]
    one, other = (
        template.render({**values, "instruction": text, "sampled": [{**SEED, "subdimension": text}]})
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
    ("text", "part"),
    [
        ("{{ ['a', 'b'] | random }}", "filter 'random' draws anew each time"),
        ("{{ [['a', 'b']] | map('random') | first }}", "pick by the row"),
        ("{% if instruction | length > 999 %}{{ [[1, 2]] | map('random') | list }}{% endif %}", "'random'"),
        ("{% filter random %}ab{% endfilter %}", "'random'"),
        ("{% set how = 'random' %}{{ [[1, 2]] | map(how) | list }}", "name the filter as text"),
        ("{{ [[1, 2]] | map(*['random']) | list }}", "name the filter as text"),
        ("{{ [1, 2] | select(instruction) | list }}", "name the test as text"),
        ("{{ [1, 2] | shuffle | first }}", "no filter 'shuffle'"),
        ("{{ ['a'] | choice }}", "no filter 'choice'; known here: abs, "),
        ("{{ ['a'] | joined }}", "no filter 'joined'; did you mean 'join'?"),
        ("{{ lipsum(n=1) }}", "'lipsum': it writes other words"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}", "loop.cycle"),
        ("{% set j = joiner(', ') %}{{ j() }}", "use the filter join"),
        ("{{ now() }}", "unknown variable 'now'"),
        ("{{ range(9) | random }}", "'random'"),
        ("{{ 1 if instruction is sameas 'x' }}", "use =="),
        ("{{ [1] | reject('sameas', 1) | list }}", "use =="),
        ("{{ ['a'] | selectattr('x', 'sameas', 1) | list }}", "use =="),
        ("{{ 1 if instruction is prime }}", "no test 'prime'"),
        ("{{ self.user }}", "is a function and no value"),
        ("{{ instruction.upper ~ '' }}", "upper is a function and no value"),
        ("{{ instruction['upper'] | string }}", "upper is a function and no value"),
        ("{{ instruction | attr('upper') | string }}", "upper is a function and no value"),
        ("{{ '%s' | format(instruction.upper) }}", "upper is a function and no value"),
        ("{{ '%s' % instruction.upper }}", "upper is a function and no value"),
        ("{{ '{0.upper}'.format(instruction) }}", "upper is a function and no value"),
        ("{{ [instruction.upper] }}", "upper is a function and no value"),
        ("{{ {'a': instruction.upper} | pprint }}", "upper is a function and no value"),
        ("{{ [instruction] | map(attribute='upper') | join }}", "upper is a function and no value"),
        ("{{ range }}", "range is a function and no value"),
        ("{{ range | string }}", "range is a function and no value"),
        ("{% include 'x.j2' %}", "can take in no other file"),
        ("{% from 'x.j2' import y %}", "can take in no other file"),
    ],
)
def test_what_is_no_pure_function_of_the_row_is_refused_with_its_line(
    tmp_path: Path, text: str, part: str
) -> None:
    [problem] = problems_of(tmp_path, f"{{% block user %}}\nfine\n{text}\n{{% endblock %}}")
    assert problem.line == 3
    assert part in problem.message


_EVERYTHING = """{% block user %}
{% set ns = namespace(count=0) %}
{% for word in instruction.split() if word is string %}{% set ns.count = ns.count + 1 %}
{{ loop.cycle('a', 'b') }}{{ word | upper }}{{ loop.index }}{% endfor %}
{{ ns.count }} {{ ns }} {{ [1, 2] | map('string') }} {{ [2, 1] | sort | reverse }} {{ [1, 1] | unique }}
{{ {'a': 1} | items }} {{ {'b': 1, 'a': 2} | dictsort }} {{ [0, 1] | select }} {{ [1, 2, 3] | batch(2) }}
{{ [{'a': 1}, {'a': 2}] | groupby('a') }} {{ {'a': [1]} | tojson }} {{ {'a': 1}.items() }}
{{ 'ab' | reverse }} {{ self }}
{{ ['x', 'y', 'z'] | pick(seed) }} {{ ['x', 'y', 'z'] | pick(seed, 'tone') }} {{ 'abc' | pick(seed) }}
{% macro m(x) %}<{{ x }}{{ caller() if caller is defined }}>{% endmacro %}
{{ m(1) }}{% call m(2) %}in{% endcall %}
{{ '{:>4}'.format(7) }} {{ ', '.join(['a', 'b']) }} {{ instruction.upper() }} {{ m ~ '' }}
{% endblock %}"""


def test_templates_render_alike_in_other_processes(tmp_path: Path) -> None:
    """With other hash seeds and other places in memory; here are all that might show either."""
    path = write_template(tmp_path, _EVERYTHING)
    script = (
        "import sys; from pathlib import Path; from multifaceted.prompts.template import load_template; "
        "t = load_template('x', Path(sys.argv[1]), variables=('instruction', 'seed')); "
        "sys.stdout.write(t.render({'instruction': 'so it is', 'seed': 7})[0].content)"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", script, str(path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    template = load_template("x", path, variables=("instruction", "seed"))
    [here] = template.render({"instruction": "so it is", "seed": 7})
    assert found == [here.content] * 2
    assert "['1', '2'] [2, 1] [1]" in here.content
    assert " at 0x" not in here.content


@pytest.mark.parametrize(
    "load_it",
    [
        load_repair,
        JudgePrompt.load,
        load_card_template,
        lambda path: load_template("of its own", path, variables=()),
    ],
)
def test_all_templates_that_people_write_are_held_to_it(
    tmp_path: Path, load_it: Callable[[Path], object]
) -> None:
    path = write_template(tmp_path, "{% block user %}\n{{ [1] | random }}{% endblock %}")
    with pytest.raises(InputError, match=r"own.j2:2: template syntax: filter 'random' draws anew"):
        load_it(path)


def test_picks_are_by_the_row_and_by_what_they_are_for(tmp_path: Path) -> None:
    text = "{% block user %}{{ ['x', 'y', 'z'] | pick(seed) }}{{ [1, 2] | pick(seed, 'b') }}{% endblock %}"
    template = load_template("x", write_template(tmp_path, text), variables=("seed",))
    found = Counter(template.render({"seed": seed})[0].content for seed in range(600))
    assert len(found) == 6
    assert all(70 < count < 130 for count in found.values())
    assert template.render({"seed": 7}) == (Message("user", "z1"),)


@pytest.mark.parametrize(
    ("expression", "part"), [("[] | pick(seed)", "nothing to pick"), ("[1] | pick('a')", "whole number")]
)
def test_a_pick_that_is_none_is_a_problem(tmp_path: Path, expression: str, part: str) -> None:
    text = f"{{% block user %}}{{{{ {expression} }}}}{{% endblock %}}"
    template = load_template("x", write_template(tmp_path, text), variables=("seed",))
    with pytest.raises(InputError, match=part):
        template.render({"seed": 7})


def test_what_may_be_named_is_all_of_jinja_s_but_what_is_known_to_be_impure() -> None:
    assert set(FILTERS) - {*PURE_FILTERS} == {"random"}
    assert set(TESTS) - {*PURE_TESTS} == {"sameas"}
    assert set(DEFAULT_NAMESPACE) - {*PURE_FUNCTIONS} == {"lipsum", "cycler", "joiner"}


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("instruction.__class__.__mro__", "unsafe"),
        ("instruction | attr('__class__')", "unsafe"),
        ("sampled.append(1)", "unsafe"),
        ("sampled[0].update(dimension='x')", "unsafe"),
        ("sampled[0].dimensoin", "dimensoin"),
        ("sampled[3]", "no element 3"),
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


def test_an_expression_that_fails_when_it_is_compiled_is_a_problem(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "{% block user %}{{ [].__class__ ~ '' }}{% endblock %}")
    assert "unsafe" in problem.message


def test_what_a_template_may_not_change_stays_unchanged(tmp_path: Path) -> None:
    problems_of(tmp_path, "{% block user %}{{ sampled.clear() }}{% endblock %}", name="preference_set")
    assert VALUES["preference_set"]["sampled"] == [SEED]


def test_a_template_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.j2").write_bytes(b"{% block user %}\xff{% endblock %}")
    for name, message in (("none.j2", ": cannot be read: "), ("latin.j2", ":1: is not UTF-8 text")):
        with pytest.raises(InputError, match=f"{name}{message}"):
            load("response", tmp_path / name)


def test_differences_of_maps_keep_their_order_in_every_process() -> None:
    text = "{{ (m.keys() - ['c']) | join }} {{ (['z', 'y'] - m.keys()) | join }} {{ m.items() - m.items() }}"
    values = dict.fromkeys("gfedcba", 1)
    assert strict_environment().from_string(text).render(m=values) == "gfedba zy []"
