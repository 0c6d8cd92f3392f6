"""Jinja files that people write: a strict sandbox, and the line on which one of them stumbles.

Example:
    environment = strict_environment()
    environment.from_string("{{ missing }}").render()     # raises, instead of writing nothing
"""

from typing import Any

from jinja2 import BaseLoader, StrictUndefined, Template, TemplateError, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

# What an expression in a template may raise on a value it was not made for.
STUMBLES = (
    TemplateError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# Names that Jinja reads as words of its own; a variable of such a name could not be spoken of.
WORDS_OF_JINJA = frozenset(
    [
        *("and", "caller", "else", "false", "if", "in", "is", "kwargs", "loop"),
        *("none", "not", "or", "self", "super", "true", "varargs"),
    ]
)
# Jinja's globals whose output is random or keeps state between two renderings.
UNSTEADY = ("lipsum", "cycler", "joiner")


class _StrictEnvironment(ImmutableSandboxedEnvironment):
    """`facts.items` is the value of that key, where there is one, and no method of maps."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def _refuse_function(value: Any) -> Any:
    """Let values pass; a function would be written with its place in memory, another one each time."""
    if callable(value) and not isinstance(value, Undefined):
        raise TypeError(f"{getattr(value, '__name__', 'it')} is a function and no value")
    return value


def strict_environment(loader: BaseLoader | None = None) -> ImmutableSandboxedEnvironment:
    """An environment for text that is no HTML: no undefined names, nothing unsafe, nothing random."""
    environment = _StrictEnvironment(
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=loader,
        finalize=_refuse_function,
    )
    for name in UNSTEADY:
        environment.globals.pop(name)
    return environment


def line_in(error: Exception, template: Template) -> int:
    """The template's line where `error` arose, from the innermost frame of its compiled code; 0: unknown."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == (template.filename or "<template>"):
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
