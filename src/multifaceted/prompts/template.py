"""Strict Jinja templates: one file, a block for each chat turn, variables checked before a run.

    template = load_template("response", variables=("instruction", "system_message"))
    template.render({"system_message": "You are …", "instruction": "Why is the sky blue?"})

Templates run in Jinja's immutable sandbox. An instruction is always a value and never template source.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, meta, nodes

from multifaceted.errors import InputError, Problem
from multifaceted.ids import hash_text
from multifaceted.inputfile import read_input_text
from multifaceted.jinjafile import IMPURE, TEMPLATE_ERRORS, find_unknown, line_in, strict_environment
from multifaceted.jinjalimits import MAX_TEMPLATE, join_pieces, limited_rendering
from multifaceted.records import Message
from multifaceted.yamlfile import suggest

REPAIR = "repair"  # the turn after a reply that does not validate
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
    uses: frozenset[str]  # the variables it speaks of
    compiled: JinjaTemplate = field(repr=False)

    def render(self, values: Mapping[str, Any]) -> tuple[Message, ...]:
        """Render the blocks to chat turns; an empty block gives no turn.

        Raises:
            InputError: where the template fails on a value, such as a misspelt attribute.
        """
        context = self.compiled.new_context(dict(values))
        try:
            written = self.compiled.blocks
            with limited_rendering():
                texts = {block: join_pieces(written[block](context)) for block in BLOCKS if block in written}
        except TEMPLATE_ERRORS as error:
            raise InputError([Problem(self.file, line_in(error, self.compiled), str(error))]) from error
        turns = tuple(Message(role, texts[block]) for block, role in BLOCKS.items() if texts.get(block))
        if not turns:
            raise InputError([Problem(self.file, 0, "gives no chat turn: every block is empty")])
        return turns


def shipped_template(name: str, *, small: bool = False) -> Any:
    """A shipped template, as a traversable; with `small` the one for very small models, if there is one."""
    folder = resources.files("multifaceted") / "templates"
    of_small = folder / "small" / f"{name}.j2"
    return of_small if small and of_small.is_file() else folder / f"{name}.j2"


def load_template(
    name: str, path: Path | None = None, *, variables: Collection[str], small: bool = False
) -> Template:
    """Compile a shipped template, or a file of one's own in its place.

    Args:
        name: of the shipped one.
        path: of one's own; None takes the shipped one.
        variables: what it may speak of.
        small: take the shipped one for very small models.

    Raises:
        InputError: with every problem: syntax, unknown variables, a missing `user` block.
    """
    file = str(path) if path else f"templates/{name}.j2"
    source = (
        read_input_text(path, most=MAX_TEMPLATE)
        if path
        else shipped_template(name, small=small).read_text("utf-8")
    )
    return _compile(source, file, tuple(variables))


@lru_cache(maxsize=100)  # a recipe is compiled several times in a process, and most templates never change
def _compile(source: str, file: str, variables: tuple[str, ...]) -> Template:
    environment = strict_environment()
    try:
        tree = environment.parse(source)
        if unknown := list(find_unknown(tree, environment, suggest)):
            raise InputError([Problem(file, *found) for found in unknown])
        uses = frozenset(meta.find_undeclared_variables(tree))
        if problems := list(_check(tree, uses, list(variables), file)):
            raise InputError(problems)
        compiled = environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise InputError([Problem(file, error.lineno, f"template syntax: {error.message}")]) from error
    except (
        TEMPLATE_ERRORS
    ) as error:  # over an expression of constants, which Jinja evaluates when it compiles
        raise InputError([Problem(file, 0, f"template: {error}")]) from error
    return Template(file, hash_text(source), uses, compiled)


def load_repair(path: Path | None = None) -> Template:
    """Compile the template of the turn after a reply that does not validate, or one's own in its place.

    Raises:
        InputError: with every problem.
    """
    return load_template(REPAIR, path, variables=("problems",))


def ask_again(
    repair: Template, turns: tuple[Message, ...], text: str, problems: Sequence[str]
) -> tuple[Message, ...]:
    """Return the turns so far, the reply that did not validate, and what is wrong with it."""
    return (*turns, Message("assistant", text), *repair.render({"problems": problems}))


def _check(tree: nodes.Template, uses: Collection[str], known: list[str], file: str) -> Iterator[Problem]:
    unknown = set(uses) - set(known)
    for node in tree.find_all(nodes.Name):
        if node.ctx == "load" and node.name in unknown:
            more = f": it {IMPURE[node.name]}" if node.name in IMPURE else suggest(node.name, known)
            yield Problem(file, node.lineno, f"unknown variable {node.name!r}{more}")
    for taken in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        yield Problem(file, taken.lineno, "can take in no other file")
    blocks = {block.name: block.lineno for block in tree.find_all(nodes.Block)}
    for block, line in blocks.items():
        if block not in BLOCKS:
            yield Problem(file, line, f"unknown block {block!r}{suggest(block, list(BLOCKS))}")
    if "user" not in blocks:
        yield Problem(file, 0, "has no {% block user %}")
