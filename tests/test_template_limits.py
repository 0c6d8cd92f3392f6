"""Templates of a stranger: each ends, and takes neither the time nor the memory it asks for."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from conftest import MakeRecipe
from test_cli import multifaceted

from multifaceted import jinjalimits
from multifaceted.building.card_template import load_card_template
from multifaceted.curation.judge_prompt import JudgePrompt
from multifaceted.errors import InputError
from multifaceted.jinjafile import strict_environment
from multifaceted.jinjalimits import limited_rendering
from multifaceted.prompts.template import load_repair, load_template

BIG = "b" * 1_000_000
HOSTILE = [
    "{{ 10**(10**9) }}",
    "{{ 10**(10**10) }}",
    "{{ (10**5000) * (10**5000) * (10**5000) }}",
    "{{ 'x' * 10**9 }}",
    "{{ 10**9 * [1] }}",
    "{{ 'x'|center(10**9) }}",
    "{{ 'x'|center(1000000000) }}",
    "{{ ['x']|map('center', 10**9)|join }}",
    "{{ 'x'.center(10**9) }}",
    "{{ 'x'.ljust(10**9) }}{{ 'x'.rjust(10**9) }}",
    "{{ '1'.zfill(10**9) }}",
    "{{ '\t'.expandtabs(10**9) }}",
    "{{ big.replace('b', big) }}",
    "{{ big.replace('', big) }}",
    "{{ big|replace('b', big) }}",
    "{{ big.join(big) }}",
    "{{ big|join(big) }}",
    "{{ big|indent(10**9) }}",
    "{{ ('\n' * 1000)|indent(big) }}",
    "{{ [1, [2]]|tojson(indent=10**9) }}",
    "{{ big|wordwrap(1) }}",
    "{{ big|wordwrap(1, wrapstring=big) }}",
    "{{ ('<!--' * 1000000)|striptags }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ ('%(a)s' * 1000) % {'a': big} }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=10**9) }}",
    "{{ ('{0}' * 1000).format(big) }}",
    "{{ 'b'.translate({98: big}) * 100 }}",
    "{{ 1.5|round(10**9, 'ceil') }}",
    "{{ [1]|batch(10**9, 'x')|list }}",
    "{{ [1]|slice(10**9)|list }}",
    "{{ (1).to_bytes(10**9, 'big') }}",
    "{{ [[1]]|sum(start=[]) }}{{ range(100000)|map('list')|sum(start=[]) }}",
    "{{ range(10**9)|list }}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) if j < 0 %}{% endfor %}{% endfor %}",
    "{% for i in range(100000) %}{{ range(100000)|join }}{% endfor %}",
    "{% for i in range(100000) %}{{ big }}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop(range(100000)) }}{{ loop(range(100000)) }}{% endfor %}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{% macro m(n) %}{% if n < 40 %}{{ m(n + 1) }}{{ m(n + 1) }}{% endif %}{% endmacro %}{{ m(0) }}",
    "{% set x = 'xxxxxxxx' %}" + "{% set x = x ~ x %}" * 40,
    "{% set x = 'xxxxxxxx' %}" + "{% set x = x + x %}" * 40,
    "{% set x = 'xxxxxxxx' %}" + "{% set x %}{{ x }}{{ x }}{% endset %}" * 40,
    "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x }}",
    "{% set x = [1] %}" + "{% set x = {'a': x, 'b': x} %}" * 40 + "{{ x == x }}",
    "{% set x = [1] %}" + "{% set x = dict(a=x, b=x) %}" * 40 + "{{ x|tojson }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = ns.l + [big ~ i] %}{% endfor %}",
    "{% for i in range(20) %}" * 25 + "{% endfor %}" * 25,
    "{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}",
    "{{ " + "[" * 5_000 + "]" * 5_000 + " }}",
    "{{ " + "-" * 100_000 + "1 }}",
    "{{ 1" + " + 1" * 20_000 + " }}",
    "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:60].replace("\n", " "))
def test_a_hostile_template_is_a_problem_of_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "own.j2"
    path.write_text("{% block user %}Go: " + text + "{{ seed }}{% endblock %}")
    if "{%" not in text:  # tracing makes loops slow
        tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            load_template("response", path, variables=("big", "seed")).render({"big": BIG, "seed": 1})
        assert not tracemalloc.is_tracing() or tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert caught.value.problems[0].file == str(path)
    assert len(caught.value.message) < 1000


def test_a_template_as_long_as_a_book_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.j2"
    path.write_text("{% block user %}" + "x" * 2_000_000 + "{% endblock %}")
    with pytest.raises(InputError, match="is too long: 2,000,"):
        load_repair(path)
    with pytest.raises(InputError, match="is too long: 2,000,"):
        load_card_template(path)


def test_time_ends_what_counting_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinjalimits, "MAX_SECONDS", 0.2)
    path = tmp_path / "own.j2"
    loop = "{% for i in range(100000) %}{% if 'ab' in big %}{% endif %}{% endfor %}"
    path.write_text("{% block user %}" + loop + "{% endblock %}")
    template = load_template("response", path, variables=("big",))
    with pytest.raises(InputError, match=r"own\.j2:1: takes longer than"):
        template.render({"big": BIG * 10})


def test_repair_card_and_judge_templates_are_bounded_too(tmp_path: Path) -> None:
    path = tmp_path / "own.j2"
    path.write_text("{% block user %}{{ 'x'|center(10**9) }}{% endblock %}")
    with pytest.raises(InputError, match="too wide"):
        load_repair(path).render({"problems": ["one"]})
    with pytest.raises(InputError, match="too wide"):
        JudgePrompt.load(path)
    path.write_text("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}")
    with pytest.raises(InputError, match="turns of loops"):
        load_card_template(path).render({})
    path.write_text("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}")
    with pytest.raises(InputError):
        load_card_template(path)


def test_a_recipe_with_a_hostile_template_is_refused_before_anything_is_asked(
    make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    (tmp_path / "own.j2").write_text(
        "{% block user %}{{ instruction }}{% for i in range(100000) %}{% for j in range(100000) %}"
        "{% endfor %}{% endfor %}{% endblock %}"
    )
    recipe = make_recipe("http://127.0.0.1:9/v1", stages={"response": {"template": "own.j2"}})
    for words in (("plan", recipe), ("preview", recipe), ("generate", recipe, "--run", "run")):
        ended = multifaceted(*words, cwd=tmp_path)
        assert (ended.returncode, "own.j2:1" in ended.stderr) == (2, True), ended.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{% for x in items %}{{ loop.index }}/{{ loop.length }}{{ loop.last }} {% endfor %}",
            "1/2False 2/2True ",
        ),
        ("{% for x in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for x in tree recursive %}{{ x.n }}{{ loop(x.c) }}{% endfor %}", "123"),
        ("{% for k, v in facts.items() %}{{ k ~ '=' ~ v }}{% endfor %}", "a=1"),
        ("{% for x in items if x != 'p' %}{{ x }}{{ loop.revindex }}{% endfor %}", "q1"),
        ("{% set x = [items, items] %}{{ x[1][0] ~ (1, items)[0] }}", "p1"),
        (
            "{{ 2**10 + 3 * 4 }}{{ 'ab' * 2 }}{{ '%s-%03d' % ('a', 7) }}{{ '{:>4}'.format('x') }}",
            "1036ababa-007   x",
        ),
        ("{{ 'p'|center(5) }}{{ items|join(', ') }}{{ 'a b'.replace(' ', '_') }}", "  p  p, qa_b"),
        ("{% macro m(x) %}<{{ x }}{{ caller() }}>{% endmacro %}{% call m(1) %}in{% endcall %}", "<1in>"),
        ("{% filter upper %}a{{ items[0] }}{% endfilter %}", "AP"),
        (
            "{{ [3, 1]|sort|first }}{{ [[1], [2]]|sum(start=[]) }}{{ {'a': items}|tojson }}",
            '1[1, 2]{"a": ["p", "q"]}',
        ),
    ],
)
def test_what_people_write_means_what_it_meant(text: str, expected: str) -> None:
    values: dict[str, Any] = {"items": ["p", "q"], "facts": {"a": 1}}
    values["tree"] = [{"n": 1, "c": [{"n": 2, "c": []}]}, {"n": 3, "c": []}]
    with limited_rendering():
        assert strict_environment().from_string(text).render(values) == expected
