"""What a YAML file may hold that a stranger may have written: plain values, not too many, not too deep.

The parser's events are looked through before anything is built of them: composing recurses in C, where depth
ends the process, and a few lines of aliases stand for billions of values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

MAX_DEPTH = 100
MAX_VALUES = 500_000  # with each alias counted as all that it stands for
_PREFIX = "tag:yaml.org,2002:"
_TAGS = frozenset(f"{_PREFIX}{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")) | {
    "!"
}
_START = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_END = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class ExcessError(Exception):
    """A file that must not be built at all: its line, and why."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(slots=True)
class _Open:
    """A map or a list whose end has not come yet."""

    is_map: bool
    anchor: str | None
    parts: int = 0  # keys and values so far
    size: int = 1  # values in it, itself included


def find_odd_values(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and message of keys and tags that none of our files has.

    Raises:
        ExcessError: where the file is too deep, or stands for too many values.
        yaml.YAMLError: where it is not YAML.
    """
    loader = yaml.CSafeLoader(text)
    account = _Account()
    try:
        while loader.check_event():
            event: Any = loader.get_event()
            yield from account.take(event, event.start_mark.line + 1)
    finally:
        loader.dispose()


class _Account:
    """What stands around an event, and what each anchor stands for."""

    def __init__(self) -> None:
        self._stack = [_Open(is_map=False, anchor=None)]
        self._sizes: dict[str, int] = {}  # by anchor; 0 for a map or list that is still open
        self._compound: set[str] = set()  # anchors of maps and lists

    def take(self, event: Any, line: int) -> Iterator[tuple[int, str]]:
        if isinstance(event, _END):
            closed = self._stack.pop()
            self._add(closed.size, closed.anchor, line)
        elif isinstance(event, (*_START, yaml.ScalarEvent, yaml.AliasEvent)):
            yield from self._look(event, line)
            if isinstance(event, yaml.AliasEvent):
                self._add(self._size_of(event.anchor, line), None, line)
            elif isinstance(event, yaml.ScalarEvent):
                self._add(1, event.anchor, line)
            else:
                self._open(event, line)

    def _look(self, event: Any, line: int) -> Iterator[tuple[int, str]]:
        above = self._stack[-1]
        is_key = above.is_map and above.parts % 2 == 0
        above.parts += 1
        is_alias = isinstance(event, yaml.AliasEvent)
        if is_key and (isinstance(event, _START) or (is_alias and event.anchor in self._compound)):
            yield line, "a key must be text, and no map or list"
        if not is_alias and event.tag is not None and event.tag not in _TAGS:
            yield line, f"the tag {event.tag.replace(_PREFIX, '!!')!r} is not read; write a plain value"

    def _open(self, event: Any, line: int) -> None:
        if len(self._stack) > MAX_DEPTH:
            raise ExcessError(line, f"is nested too deeply: more than {MAX_DEPTH} levels")
        if event.anchor:
            self._sizes[event.anchor] = 0
            self._compound.add(event.anchor)
        self._stack.append(_Open(isinstance(event, yaml.MappingStartEvent), event.anchor))

    def _size_of(self, anchor: str | None, line: int) -> int:
        size = self._sizes.get(anchor or "", 1)  # of an unknown one the parser says so itself
        if size == 0:
            raise ExcessError(line, f"&{anchor} stands inside itself")
        return size

    def _add(self, size: int, anchor: str | None, line: int) -> None:
        if anchor:
            self._sizes[anchor] = size
        self._stack[-1].size += size
        if self._stack[-1].size > MAX_VALUES:
            message = f"stands for too many values: {MAX_VALUES:,} are the most, aliases included"
            raise ExcessError(line, message)
