"""Strict Jinja templates: one file, two blocks (`system`, `user`), variables checked before a run.

    template = load_template("response")
    template.render({"system_message": "You are …", "instruction": "Why is the sky blue?"})

Templates run in Jinja's immutable sandbox. An instruction is always a value and never template source.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, meta, nodes

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_text
from multifaceted.jinjafile import STUMBLES, line_in, strict_environment
from multifaceted.records import Message
from multifaceted.yamlfile import suggest

TemplateName = Literal["preference_set", "system_message", "response", "rubric", "repair"]
TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)

# What each template may speak of; anything else is refused when the recipe is compiled.
VARIABLES: dict[TemplateName, tuple[str, ...]] = {
    "preference_set": ("dimensions", "instruction", "seeds"),
    "system_message": ("descriptions",),
    "response": ("instruction", "system_message"),
    "rubric": ("instruction", "dimension", "subdimension", "preference", "description"),
    "repair": ("problems",),
}
# Blocks in the order of the chat turns they become, and the roles that speak them. An example told as two
# turns of its own is what very small models follow best.
BLOCKS: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "example_user": "user",
    "example_assistant": "assistant",
    "user": "user",
}


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template and the hash of its text."""

    file: str  # where problems are reported
    hash: str
    compiled: JinjaTemplate = field(repr=False)

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """Render the blocks to chat turns; an empty block gives no turn.

        Raises:
            InputError: where the template stumbles over a value, such as a misspelt attribute.
        """
        context = self.compiled.new_context(dict(values))
        try:
            written = self.compiled.blocks
            texts = {block: "".join(written[block](context)) for block in BLOCKS if block in written}
        except STUMBLES as error:
            raise InputError([Problem(self.file, line_in(error, self.compiled), str(error))]) from error
        return tuple(Message(role, texts[block]) for block, role in BLOCKS.items() if texts.get(block))


def shipped_template(name: TemplateName, *, small: bool = False) -> Any:
    """A shipped template, as an `importlib.resources` traversable.

    Args:
        name: which.
        small: the one for very small models, where there is one.
    """
    folder = resources.files("multifaceted") / "templates"
    of_small = folder / "small" / f"{name}.j2"
    return of_small if small and of_small.is_file() else folder / f"{name}.j2"


def load_template(name: TemplateName, path: Path | None = None, *, small: bool = False) -> Template:
    """Compile a shipped template, or a file of one's own in its place.

    Raises:
        InputError: with every problem: syntax, unknown variables, a missing `user` block.
    """
    file = str(path) if path else f"templates/{name}.j2"
    try:
        source = (path or shipped_template(name, small=small)).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError([Problem(file, 0, f"cannot be read: {error}")]) from error
    environment = strict_environment()
    try:
        tree = environment.parse(source)
        problems = list(_check(tree, name, file))
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise InputError([Problem(file, error.lineno, f"template syntax: {error.message}")]) from error
    if problems:
        raise InputError(problems)
    return Template(file, hash_text(source), compiled)


def ask_again(
    repair: Template, turns: tuple[Message, ...], text: str, problems: Sequence[str]
) -> tuple[Message, ...]:
    """The turns so far, the reply that did not validate, and what is wrong with it."""
    return (*turns, Message("assistant", text), *repair.render({"problems": problems}))


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
