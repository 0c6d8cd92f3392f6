"""The card's template: the shipped one, or a file of one's own that says what is different.

Example:
    {% extends "card.md.j2" %}
    {% block limitations %}
    {{ super() }}
    - Written for readers of one newspaper.
    {% endblock %}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import FunctionLoader, TemplateSyntaxError, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import ImmutableSandboxedEnvironment

from multifaceted.building.markdown import escape_line, quote_text, show_value
from multifaceted.errors import InputError, Problem
from multifaceted.inputfile import read_input_text
from multifaceted.jinjafile import TEMPLATE_ERRORS, find_unknown, line_in, strict_environment
from multifaceted.jinjalimits import MAX_TEMPLATE, join_pieces, limited_rendering
from multifaceted.yamlfile import suggest

SHIPPED = "card.md.j2"
_OWN = "own card"  # not its path: a file of one's own may well be named as the shipped one
VARIABLES = (
    *(
        "header",
        "title",
        "manifest",
        "summary",
        "configs",
        "names",
        "pairs",
        "completion",
        "preference",
        "example",
        "stages",
        "cost",
    ),
    *("prices", "failures", "citation"),
)
FILTERS = {"escape_line": escape_line, "quote_text": quote_text, "show_value": show_value}


@dataclass(frozen=True, slots=True)
class CardTemplate:
    """A compiled card template."""

    file: str  # where problems are reported
    _compiled: JinjaTemplate = field(repr=False)

    def render(self, values: Mapping[str, Any]) -> str:
        """Render the whole card.

        Raises:
            InputError: where the template fails on a value, such as a misspelt attribute.
        """
        context = self._compiled.new_context(dict(values))
        try:
            # Not `render`, which maps lines by itself, and to the outermost template.
            with limited_rendering():
                text = join_pieces(self._compiled.root_render_func(context))
        except TEMPLATE_ERRORS as error:
            raise InputError([Problem(self.file, line_in(error, self._compiled), str(error))]) from error
        return f"{text.strip()}\n"


def load_card_template(path: Path | None = None) -> CardTemplate:
    """Compile the shipped card template, or a file of one's own, which may extend it.

    Raises:
        InputError: with every problem: syntax, unknown variables, blocks that the shipped one lacks.
    """
    shipped = (resources.files("multifaceted") / "templates" / SHIPPED).read_text(encoding="utf-8")
    sources = {SHIPPED: (shipped, f"templates/{SHIPPED}")}
    if path is not None:
        sources[_OWN] = read_input_text(path, most=MAX_TEMPLATE), str(path)
    return _compile(SHIPPED if path is None else _OWN, tuple(sources.items()))


@lru_cache(maxsize=10)  # a process may build many folders
def _compile(name: str, named: tuple[tuple[str, tuple[str, str]], ...]) -> CardTemplate:
    sources = dict(named)
    (source, file), (shipped, _) = sources[name], sources[SHIPPED]
    environment = _make_environment(sources)
    try:
        tree = environment.parse(source)
        problems = [Problem(file, *found) for found in find_unknown(tree, environment, suggest)]
        problems = problems or list(_check(tree, file, _blocks_in(environment.parse(shipped))))
        if problems:
            raise InputError(problems)
        return CardTemplate(file, environment.get_template(name))
    except TemplateSyntaxError as error:
        raise InputError([Problem(file, error.lineno, f"template syntax: {error.message}")]) from error
    except TEMPLATE_ERRORS as error:
        raise InputError([Problem(file, 0, f"template: {error}")]) from error


def _make_environment(sources: Mapping[str, tuple[str, str]]) -> ImmutableSandboxedEnvironment:
    """Return an environment that knows templates by name; each has its text and its file."""
    environment = strict_environment(
        FunctionLoader(lambda name: (*sources[name], lambda: True) if name in sources else None)
    )
    environment.filters.update(FILTERS)
    return environment


def _blocks_in(tree: nodes.Template) -> dict[str, int]:
    return {block.name: block.lineno for block in tree.find_all(nodes.Block)}


def _check(tree: nodes.Template, file: str, shipped: Mapping[str, int]) -> Iterator[Problem]:
    unknown = meta.find_undeclared_variables(tree) - {*VARIABLES, "self"}
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name in unknown:
            near = suggest(node.name, list(VARIABLES))
            yield Problem(file, node.lineno, f"unknown variable {node.name!r}{near}")
    for taken in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        if getattr(getattr(taken, "template", None), "value", None) != SHIPPED:
            yield Problem(file, taken.lineno, f"can take nothing in but {SHIPPED!r}")
    if tree.find(nodes.Extends):
        for block, line in _blocks_in(tree).items():
            if block not in shipped:
                yield Problem(file, line, f"unknown block {block!r}{suggest(block, list(shipped))}")
