"""Strict Jinja templates: one file, two blocks (`system`, `user`), variables checked before a run.

    template = load_template("response")
    template.render({"system_message": "You are …", "instruction": "Why is the sky blue?"})

Templates run in Jinja's immutable sandbox. An instruction is always a value and never template source.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import ImmutableSandboxedEnvironment

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_text
from multifaceted.records import Message
from multifaceted.yamlfile import suggest

TemplateName = Literal["preference_set", "system_message", "response", "repair"]
TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)

# What each template may speak of; anything else is refused when the recipe is compiled.
VARIABLES: dict[TemplateName, tuple[str, ...]] = {
    "preference_set": ("dimensions", "instruction", "seeds"),
    "system_message": ("descriptions",),
    "response": ("instruction", "system_message"),
    "repair": ("problems",),
}
BLOCKS: tuple[Literal["system", "user"], ...] = ("system", "user")


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template and the hash of its text."""

    name: TemplateName
    file: str  # where problems are reported
    hash: str
    _compiled: JinjaTemplate = field(repr=False)

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """Render the blocks to chat turns; an empty block gives no turn.

        Raises:
            InputError: where the template stumbles over a value, such as a misspelt attribute.
        """
        context = self._compiled.new_context(dict(values))
        try:
            texts = {
                role: "".join(self._compiled.blocks[role](context)) for role in BLOCKS if self._has(role)
            }
        except (TemplateError, TypeError, ValueError, KeyError, ArithmeticError) as error:
            raise InputError([Problem(self.file, _line_in(error, self._compiled), str(error))]) from error
        return tuple(Message(role, texts[role]) for role in BLOCKS if texts.get(role))

    def _has(self, role: str) -> bool:
        return role in self._compiled.blocks


def builtin_template_file(name: TemplateName) -> Any:
    """A shipped template, as an `importlib.resources` traversable."""
    return resources.files("multifaceted") / "templates" / f"{name}.j2"


def load_template(name: TemplateName, path: Path | None = None) -> Template:
    """Compile a shipped template, or a file of one's own in its place.

    Raises:
        InputError: with every problem: syntax, unknown variables, a missing `user` block.
    """
    file = str(path) if path else f"templates/{name}.j2"
    try:
        source = (path or builtin_template_file(name)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(file, 0, f"cannot be read: {error}")]) from error
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    try:
        tree = environment.parse(source)
        problems = list(_check(tree, name, file))
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise InputError([Problem(file, error.lineno, f"template syntax: {error.message}")]) from error
    if problems:
        raise InputError(problems)
    return Template(name, file, hash_text(source), compiled)


def _check(tree: nodes.Template, name: TemplateName, file: str) -> list[Problem]:
    known = list(VARIABLES[name])
    unknown = meta.find_undeclared_variables(tree) - set(known)
    problems = [
        Problem(file, node.lineno, f"unknown variable {node.name!r}{suggest(node.name, known)}")
        for node in tree.find_all(nodes.Name)
        if node.ctx == "load" and node.name in unknown
    ]
    blocks = {block.name: block.lineno for block in tree.find_all(nodes.Block)}
    problems += [
        Problem(file, line, f"unknown block {block!r}{suggest(block, list(BLOCKS))}")
        for block, line in blocks.items()
        if block not in BLOCKS
    ]
    if "user" not in blocks:
        problems.append(Problem(file, 0, "has no {% block user %}"))
    return problems


def _line_in(error: Exception, compiled: JinjaTemplate) -> int:
    """The template's line where `error` arose: Jinja rewrites tracebacks to point into the template."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == (compiled.filename or "<template>"):
            line = compiled.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
