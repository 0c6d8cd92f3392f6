"""Templates of a stranger: a sandbox that bounds what one rendering may count, build and take.

Example:
    with limited_rendering():
        text = join_pieces(template.root_render_func(context))     # raises LimitError instead of hanging

Three bounds hold together. A *step* is a turn of a loop or a call: there are `MAX_STEPS`, and each looks at
the clock. A *value* is measured before it is built where one operation could make much of little
(`'x' * 10**9`, `center`, `replace`), and after it is built everywhere else. No value may have more than
`MAX_VALUE` characters and items, nor all together more than `MAX_BUILT`; so no single operation takes long.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from jinja2 import TemplateRuntimeError, nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from multifaceted.jinjasizes import MAX_VALUE, check_call, check_operation, measure

MAX_TEMPLATE = 1_000_000  # bytes of its text
MAX_STEPS = 250_000  # of one rendering; a prompt takes some hundreds
MAX_BUILT = 256_000_000  # characters and items of all values that one rendering builds
MAX_SECONDS = 10.0


class LimitError(TemplateRuntimeError):
    """A template that takes too much of something."""


class _Budget:
    """What is left to one rendering."""

    __slots__ = ("built", "ends", "steps")

    def __init__(self) -> None:
        self.steps, self.built = MAX_STEPS, MAX_BUILT
        self.ends = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise LimitError(f"takes more than {MAX_STEPS:,} turns of loops and calls")
        if time.monotonic() > self.ends:
            raise LimitError(f"takes longer than {MAX_SECONDS:.0f} seconds")

    def build(self, size: int) -> None:
        self.built -= size
        if size > MAX_VALUE or self.built < 0:
            raise LimitError(f"builds too much: {MAX_VALUE:,} characters are the most in one value")


_rendering: ContextVar[_Budget | None] = ContextVar("rendering", default=None)


@contextmanager
def limited_rendering() -> Iterator[None]:
    """Give one rendering a budget of its own."""
    token = _rendering.set(_Budget())
    try:
        yield
    finally:
        _rendering.reset(token)


def _budget() -> _Budget:
    # None while a template is compiled, which reckons constants out one by one.
    return _rendering.get() or _Budget()


def join_pieces(pieces: Iterable[str]) -> str:
    """Join what a template writes, as far as it may."""
    budget, found, size = _budget(), [], 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_VALUE:
            budget.build(size)
        found.append(piece)
    budget.build(size)
    return "".join(found)


def _join_values(*values: Any) -> str:
    """Return what `~` does."""
    return join_pieces(map(str, map(_limit_value, values)))


def _limit_value(value: Any) -> Any:
    """Let a value pass that is small enough to be gone through."""
    _budget().build(measure(value))
    return value


def _limit_loop(items: Iterable[Any]) -> Iterator[Any]:
    """Count the turns of a loop."""
    budget = _budget()
    for item in items:
        budget.step()
        yield item


def limit_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same filter, within the bounds."""
    # The filters that Jinja hands its own state take it first.
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def limited(*args: Any, **kwargs: Any) -> Any:
        budget = _budget()
        budget.step()
        budget.build(check_call(name, args[first:], kwargs))
        made = function(*args, **kwargs)
        budget.build(measure(made))
        return made

    return limited


class _LimitNodes(NodeTransformer):
    """Puts the bounds into a template's tree, where no hook of the environment is called."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the visitor's own spelling
        self.generic_visit(node)
        node.iter = _call("limit_loop", [cast("nodes.Expr", node.iter)])
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _call("join_values", node.nodes).set_lineno(node.lineno)

    def _visit_literal(self, node: Any) -> nodes.Node:
        self.generic_visit(node)
        items = [pair.value for pair in node.items] if isinstance(node, nodes.Dict) else node.items
        if getattr(node, "ctx", "load") != "load" or all(isinstance(item, nodes.Const) for item in items):
            return node  # type: ignore[no-any-return] # a node, whichever
        return _call("limit_value", [node]).set_lineno(node.lineno)

    visit_List = visit_Tuple = visit_Dict = _visit_literal  # noqa: N815


def _call(name: str, args: list[nodes.Expr]) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), args, [], None, None)


class LimitedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates end."""

    concat = staticmethod(join_pieces)
    limit_loop = staticmethod(_limit_loop)
    join_values = staticmethod(_join_values)
    limit_value = staticmethod(_limit_value)
    intercepted_binops = frozenset(["+", "-", "*", "**", "%"])

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Measure what an operator would build, and let it."""
        _budget().build(check_operation(operator, left, right))
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Count a call, and measure what it builds."""
        if obj is _limit_loop or obj is _join_values or obj is _limit_value:
            return obj(*args)
        budget = _budget()
        budget.step()
        if isinstance(obj, LoopContext):  # a recursive loop, which turns over what it is given here
            return super().call(context, obj, *map(_limit_loop, args), **kwargs)
        name = getattr(obj, "__name__", "")
        bound = getattr(getattr(obj, "__wrapped__", obj), "__self__", None)  # the sandbox wraps str.format
        if isinstance(bound, str | bytes | int):
            budget.build(check_call(name, (bound, *args), kwargs))
        made = super().call(context, obj, *args, **kwargs)
        budget.build(measure(made))
        return made

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_LimitNodes().visit(source), *args, **kwargs)
