"""Jinja files that people write: a strict and pure sandbox, and the line on which one of them stumbles.

Example:
    environment = strict_environment()
    environment.from_string("{{ missing }}").render()     # raises, instead of writing nothing

Pure: equal values give equal text, in every process and at any time. Else a run that is resumed would ask
other prompts, and pay for them again. So only those filters, tests and functions are known that are pure, and
what would write its place in memory raises.
"""

import hashlib
import json
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping
from functools import wraps
from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, Undefined, nodes
from jinja2.filters import FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from multifaceted.jinjalimits import LimitedEnvironment, limit_filter

# What an expression in a template may raise on a value it was not made for.
TEMPLATE_ERRORS = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    SyntaxError,  # of the Python that it is compiled to, such as more than twenty loops inside each other
)
# Names that Jinja reads as words of its own; a variable of such a name could not be spoken of.
WORDS_OF_JINJA = frozenset(
    [
        *("and", "caller", "else", "false", "if", "in", "is", "kwargs", "loop"),
        *("none", "not", "or", "self", "super", "true", "varargs"),
    ]
)
# Jinja's own that are functions of their arguments alone. What a later Jinja adds is not among them unseen.
PURE_FILTERS = (
    *("abs", "attr", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape"),
    *("filesizeformat", "first", "float", "forceescape", "format", "groupby", "indent", "int", "items"),
    *("join", "last", "length", "list", "lower", "map", "max", "min", "pprint", "reject", "rejectattr"),
    *("replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags"),
    *("sum", "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "urlize", "wordcount"),
    *("wordwrap", "xmlattr"),
)
PURE_TESTS = (
    *("!=", "<", "<=", "==", ">", ">=", "boolean", "callable", "defined", "divisibleby", "eq", "equalto"),
    *("escaped", "even", "false", "filter", "float", "ge", "greaterthan", "gt", "in", "integer", "iterable"),
    *("le", "lessthan", "lower", "lt", "mapping", "ne", "none", "number", "odd", "sequence", "string"),
    *("test", "true", "undefined", "upper"),
)
PURE_FUNCTIONS = ("range", "dict", "namespace")
# Jinja's own that are missing there, and what to write instead.
_PICK = "pick by the row: {{ ['a', 'b'] | pick(seed) }}"
IMPURE = {
    "random": f"draws anew each time, so that a resumed run pays again; {_PICK}",
    "lipsum": "writes other words each time, so that a resumed run pays again",
    "cycler": f"goes on from rendering to rendering; use loop.cycle, or {_PICK}",
    "joiner": "goes on from rendering to rendering; use the filter join, or loop.first",
    "sameas": "asks where values lie in memory; use ==, or `is none`, `is true`, `is false`",
}
# These give generators, which would be written with their place in memory.
_LAZY = (
    *("map", "select", "reject", "selectattr", "rejectattr", "unique", "batch", "slice", "items", "reverse"),
)
# Filters that take the name of a test, and which argument that is; `map` takes that of a filter first.
_NAMING_TESTS = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}


class _Function:
    """A method or function on its way to being called: there is nothing else to do with it."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.__name__ = getattr(method, "__name__", "it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.method(*args, **kwargs)

    def __repr__(self) -> str:
        raise TypeError(f"{self.__name__} is a function and no value")


class _StrictEnvironment(LimitedEnvironment):
    """`facts.items` is the value of that key, where there is one, and no method of maps."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        # The difference of two views of maps is a set, whose order is another one in each process.
        if isinstance(left, KeysView | ItemsView) or isinstance(right, KeysView | ItemsView):
            taken = list(right)
            return [value for value in left if value not in taken]
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return _hold_method(super().getattr(obj, attribute))

    def getitem(self, obj: Any, argument: Any) -> Any:
        return _hold_method(super().getitem(obj, argument))

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        # The sandbox looks at the method itself, such as at that of a format string.
        return super().call(context, obj.method if isinstance(obj, _Function) else obj, *args, **kwargs)


def _hold_method(value: Any) -> Any:
    if callable(value) and not isinstance(value, (Undefined, type)):
        return _Function(value)
    return value


def _refuse_function(value: Any) -> Any:
    """Let values pass; a function would be written with its place in memory, another one each time."""
    if callable(value) and not isinstance(value, Undefined):
        raise TypeError(f"{getattr(value, '__name__', 'it')} is a function and no value")
    return value


def _listed(lazy: Callable[..., Any]) -> Callable[..., Any]:
    """Return the same filter, giving a list."""

    @wraps(lazy)
    def give_list(*args: Any, **kwargs: Any) -> Any:
        found = lazy(*args, **kwargs)
        return found if isinstance(found, str) else list(found)

    return give_list


@wraps(FILTERS["attr"])
def _find_attribute(*args: Any) -> Any:
    return _hold_method(FILTERS["attr"](*args))


def pick(options: Any, seed: int, *purposes: str | int) -> Any:
    """Pick one of several options by a seed.

    In a template: `{{ ['short', 'long'] | pick(seed, 'length') }}`.

    Args:
        options: a list, or a map, of whose keys one is picked.
        seed: of the row.
        purposes: tell several picks of one row apart; picks for the same purpose go together.

    Raises:
        ValueError: where there is nothing to pick from.
    """
    found = list(options)
    if not found:
        raise ValueError("there is nothing to pick from")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"picks by a whole number such as seed, not by {seed!r}")
    digest = hashlib.sha256(json.dumps([seed, *purposes]).encode()).digest()
    return found[int.from_bytes(digest[:8]) % len(found)]


def strict_environment(loader: BaseLoader | None = None) -> ImmutableSandboxedEnvironment:
    """Return an environment for text that is not HTML: no undefined names, nothing unsafe, nothing random."""
    environment = _StrictEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=loader,
        finalize=_refuse_function,
    )
    lazy = {name: _listed(FILTERS[name]) for name in _LAZY}
    filters = {name: FILTERS[name] for name in PURE_FILTERS} | lazy
    filters |= {"attr": _find_attribute, "pick": pick}
    environment.filters = {name: limit_filter(name, filters[name]) for name in filters}
    environment.tests = {name: TESTS[name] for name in PURE_TESTS}
    environment.globals = {name: _hold_method(environment.globals[name]) for name in PURE_FUNCTIONS}
    return environment


def find_unknown(
    tree: nodes.Template, environment: ImmutableSandboxedEnvironment, suggest: Callable[[str, list[str]], str]
) -> Iterator[tuple[int, str]]:
    """Yield lines and messages of what a template names and the environment lacks: filters and tests.

    Args:
        tree: the template.
        environment: what it may name.
        suggest: words about the nearest known name.
    """
    for kind, name, line in _list_names(tree):
        known: Mapping[str, Any] = environment.filters if kind == "filter" else environment.tests
        if name is None:
            yield line, f"template syntax: name the {kind} as text; which one it is cannot be told before"
        elif name not in known:
            why = f" {IMPURE[name]}" if name in IMPURE else suggest(name, sorted(known))
            yield line, f"template syntax: {'' if name in IMPURE else 'no '}{kind} {name!r}{why}"


def _list_names(tree: nodes.Template) -> Iterator[tuple[str, str | None, int]]:
    """Filters and tests that a template names, with their lines; None for a name that is an expression."""
    for node in tree.find_all((nodes.Filter, nodes.Test)):
        assert isinstance(node, nodes.Filter | nodes.Test)  # noqa: S101 - what was looked for
        yield "filter" if isinstance(node, nodes.Filter) else "test", node.name, node.lineno
        kind, position = "filter", 0
        if node.name in _NAMING_TESTS:
            kind, position = "test", _NAMING_TESTS[node.name]
        elif node.name != "map":
            continue
        if len(node.args) > position:
            given = node.args[position]
            named = given.value if isinstance(given, nodes.Const) and isinstance(given.value, str) else None
            yield kind, named, node.lineno
        elif node.dyn_args is not None:
            yield kind, None, node.lineno


def line_in(error: Exception, template: Template) -> int:
    """The template's line where `error` arose, from the innermost frame of its compiled code; 0: unknown."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == (template.filename or "<template>"):
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
