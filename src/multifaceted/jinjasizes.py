"""How much a value holds, and at most what an operation of a template would build, told before it is done."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import TemplateRuntimeError

MAX_VALUE = 16_000_000  # characters and items of one value, all that is in it counted
MAX_ITEMS = 1_000_000  # of a list or map, those of what is in it included
MAX_WIDTH = 10_000  # of what is filled up to a width
MAX_BITS = 20_000  # of a whole number
MAX_MOVES = 10_000_000_000  # characters moved by what goes over a text again and again
_COLLECTIONS = (list, tuple, set, frozenset)
# What would fill up to a width: more than four digits, or a width that is itself a value.
_WIDE = re.compile(r"%[^a-zA-Z%]*?(?:\d{5}|\*)|\{[^{}]*(?:\d{5}|\{)")
_PRINTF = re.compile(r"%[^%]")


def measure(value: Any) -> int:
    """The characters and items of a value and of all that is in it; beyond `MAX_VALUE` counting ends."""
    if isinstance(value, str | bytes):
        return len(value)
    size, items, left = 0, 1, [value]
    while left and items <= MAX_ITEMS and size <= MAX_VALUE:
        item = left.pop()
        if isinstance(item, str | bytes | range):
            size += len(item)
        elif isinstance(item, (Mapping, *_COLLECTIONS)):
            items += len(item)
            if items <= MAX_ITEMS:
                left.extend((*item.keys(), *item.values()) if isinstance(item, Mapping) else item)
    return size + items if items <= MAX_ITEMS else MAX_VALUE + 1


def check_operation(operator: str, left: Any, right: Any) -> int:
    """Return the size of what an operator would build.

    Raises:
        TemplateRuntimeError: where that is not a size one can wait for.
    """
    if operator == "%" and isinstance(left, str | bytes):
        return _printf(left, right)
    if operator == "**":
        if isinstance(left, int) and isinstance(right, int) and right > 0:
            _check_bits(left.bit_length() * right)
        return 1
    if operator == "*":
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() + right.bit_length())
            return 1
        times = left if isinstance(left, int) else right if isinstance(right, int) else 1
        return max(0, times) * (measure(left) + measure(right))
    if operator == "+" and not isinstance(left, int | float):
        return measure(left) + measure(right)
    return 1


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TemplateRuntimeError(f"a whole number of {bits:,} bits is too long; {MAX_BITS:,} are the most")


def check_call(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the size of what a filter or a method of text would build; 0 where its arguments bound it.

    Args:
        name: of the filter or method.
        args: the value itself, and what is given besides.
        kwargs: what is given by name.

    Raises:
        TemplateRuntimeError: where a width or a time is out of all bounds.
    """
    if name in _FILLING:
        for width in (*args[1:], *kwargs.values()):
            if isinstance(width, int | float) and width > MAX_WIDTH:
                raise TemplateRuntimeError(f"{name}: {width} is too wide; {MAX_WIDTH:,} is the most")
    reckon = _RECKONED.get(name)
    return reckon(*args, **kwargs) if reckon is not None and args else 0


_FILLING = frozenset(
    [
        *("center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes", "indent", "tojson", "round"),
        *("batch", "slice", "wordwrap", "truncate"),
    ]
)


def _each(value: Any, *more: Any, **named: Any) -> int:
    """At most each character or item brings all that is given besides."""
    given = sum(x if isinstance(x, int) else measure(x) for x in (*more, *named.values()))
    return (measure(value) + 1) * given if given > 0 else 0


def _lines(value: Any, width: Any = 4, *_: Any, **__: Any) -> int:
    text = str(value)
    return len(text) + (text.count("\n") + 1) * (width if isinstance(width, int) else measure(width))


def _tabs(value: Any, size: Any = 8, **__: Any) -> int:
    text = str(value)
    return len(text) + text.count("\\t" if isinstance(value, bytes) else "\t") * max(0, int(size))


def _replaced(value: Any, old: Any, new: Any, *_: Any, **__: Any) -> int:
    text = str(value)
    times = text.count(old) if isinstance(old, str) else len(text) + 1
    return len(text) + times * measure(new)


def _joined(value: Any, other: Any = "", *_: Any, **__: Any) -> int:
    parts, mark = (
        (other, value) if isinstance(value, str | bytes) and not isinstance(other, str) else (value, other)
    )
    return measure(parts) * (1 + measure(mark))


def _formatted(text: Any, *args: Any, **kwargs: Any) -> int:
    """Of `format` both as a filter, which is printf's, and as a method."""
    text = str(text)
    if _WIDE.search(text):
        raise TemplateRuntimeError("format: a width of more than 4 digits, or one that is a value")
    marks = max(len(_PRINTF.findall(text)), text.count("{"))
    return int(len(text) + marks * (measure(args) + measure(kwargs)))


def _printf(text: Any, values: Any) -> int:
    return _formatted(text.decode("latin-1") if isinstance(text, bytes) else text, values)


def _translated(value: Any, table: Any, **__: Any) -> int:
    longest = max(map(measure, table.values()), default=1) if isinstance(table, Mapping) else 1
    return len(value) * (1 + longest)


def _gone_over(value: Any, *more: Any, **named: Any) -> int:
    """Of filters that copy the whole text for each part of it."""
    size = measure(value)
    width = next((w for w in (*more, *named.values()) if isinstance(w, int) and w > 0), 50)
    if size * size // width > MAX_MOVES:
        raise TemplateRuntimeError(f"a text of {size:,} characters is too long for this filter")
    given = sum(measure(x) for x in (*more, *named.values()) if isinstance(x, str))
    return size + size // 2 * given


def _summed(value: Any, *more: Any, **named: Any) -> int:
    """Numbers are summed; lists would be copied for each of them."""
    start = named.get("start", more[1] if len(more) > 1 else 0)
    return 0 if isinstance(start, int | float) else measure(value) ** 2


_RECKONED: dict[str, Callable[..., int]] = {
    "indent": _lines,
    "expandtabs": _tabs,
    "replace": _replaced,
    "join": _joined,
    "format": _formatted,
    "format_map": _formatted,
    "translate": _translated,
    "tojson": _each,
    "wordwrap": _gone_over,
    "striptags": _gone_over,
    "urlize": _gone_over,
    "sum": _summed,
}
