"""YAML files that people write: parsed with line numbers, checked by a pydantic model, faults listed.

`read_yaml(path).validate(Recipe)` gives the model, or raises one `InputError` with every problem's line.
"""

import difflib
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from multifaceted.errors import InputError, Problem
from multifaceted.inputfile import read_input_text
from multifaceted.yamllimits import ExcessError, find_odd_values

KeyPath: TypeAlias = tuple[str | int, ...]
HIDDEN = "hidden_input"  # error type of values that must not be repeated, for they may hold a secret
MAX_SHOWN = 40  # characters of a wrong value that are worth repeating
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class YamlDocument:
    """The plain data of a YAML file, and the line on which each of its values begins."""

    file: str
    data: Any
    lines: dict[KeyPath, int] = field(repr=False)
    problems: list[Problem] = field(default_factory=list)  # doubled keys, which YAML itself lets pass

    def line_of(self, path: KeyPath) -> int:
        """The line of the deepest known part of `path`; parts that pydantic adds for unions are skipped."""
        return self.lines.get(self._known(path), 0)

    def problem(self, path: KeyPath, message: str) -> Problem:
        """Return a problem at `path`, with its line."""
        return Problem(self.file, self.line_of(path), message, show_path(self._known(path)))

    def validate(self, model: type[M], *, more: list[Problem] | None = None) -> M:
        """Check the data against `model`; problems found by other means, `more`, are reported with its own.

        Raises:
            InputError: with every problem and its line.
        """
        found = [*self.problems, *(more or [])]
        try:
            checked = model.model_validate(self.data)
        except ValidationError as error:
            # A default that follows from a faulty field is no fault of its own.
            faults = (d for d in error.errors() if d["type"] != "default_factory_not_called")
            found += [self._explain(model, detail) for detail in faults]
        if found:
            raise InputError(found)
        return checked

    def _known(self, path: KeyPath) -> KeyPath:
        known: KeyPath = ()
        for part in path:
            if (*known, part) in self.lines:
                known = (*known, part)
        return known

    def _explain(self, model: type[BaseModel], detail: Any) -> Problem:
        path: KeyPath = detail["loc"]
        if detail["type"] == "extra_forbidden":
            nearest = suggest(str(path[-1]), known_keys(model, path[:-1]))
            return self.problem(path, f"unknown key {path[-1]!r}{nearest}")
        if detail["type"] == "missing":
            return self.problem(path[:-1], f"{path[-1]!r} is missing")
        if detail["type"] == "literal_error" and path[-1] == "[key]":
            names = re.findall(r"'([^']+)'", detail["ctx"]["expected"])
            return self.problem(path[:-1], f"unknown key {path[-2]!r}{suggest(str(path[-2]), names)}")
        if detail["type"] in ("model_type", "model_attributes_type"):
            known = ", ".join(known_keys(model, path))
            return self.problem(path, f"must be a map with keys, of these: {known}")
        if detail["type"] == "union_tag_invalid":
            return self.problem(path, f"{detail['ctx']['tag']!r} is none of {detail['ctx']['expected_tags']}")
        message = detail["msg"].removeprefix("Value error, ")
        shown = repr(detail["input"])
        worth_showing = len(shown) <= MAX_SHOWN and detail["type"] != HIDDEN
        return self.problem(path, f"{message} (it is {shown})" if worth_showing else message)


def read_yaml(path: Path) -> YamlDocument:
    """Parse a YAML file.

    Raises:
        InputError: where there is no such file, or it is not YAML.
    """
    file = str(path)
    text = read_input_text(path)
    lines: dict[KeyPath, int] = {}
    problems: list[Problem] = []
    try:
        if odd := [Problem(file, *found) for found in find_odd_values(text)]:
            raise InputError(odd)
        loader = yaml.CSafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _walk(node, (), file, lines, problems)  # first: constructing flattens merged keys
            data = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except ExcessError as error:
        raise InputError([Problem(file, error.line, error.message)]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 0
        reason = getattr(error, "problem", None) or str(error)
        raise InputError([Problem(file, line, f"is not valid YAML: {reason}")]) from error
    except (ValueError, TypeError) as error:  # such as the 13th month, or a list that is merged
        raise InputError([Problem(file, 0, f"holds a value that cannot be built: {error}")]) from error
    if data is None:
        raise InputError([Problem(file, 0, "is empty")])
    return YamlDocument(file, data, lines, problems)


def _walk(
    node: yaml.Node, path: KeyPath, file: str, lines: dict[KeyPath, int], problems: list[Problem]
) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            here = (*path, name)
            lines[here] = key.start_mark.line + 1
            if name in seen:
                problems.append(Problem(file, lines[here], f"key {name!r} stands twice", show_path(path)))
            seen.add(name)
            _walk(value, here, file, lines, problems)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*path, index), file, lines, problems)


def show_path(path: KeyPath) -> str:
    """`("dimensions", 0, "slug")` as `dimensions[0].slug`."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return shown.removeprefix(".")


def suggest(word: str, known: list[str]) -> str:
    """`; did you mean 'variants'?` where a known name is near, else the known names."""
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known here: {', '.join(known)}" if known else ""


def known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that `model` takes at `path`; union members that do not fit the path are passed over."""
    models: list[type[BaseModel]] = [model]
    for part in path:
        fields = [m.model_fields[part] for m in models if isinstance(part, str) and part in m.model_fields]
        if fields:
            models = [inner for found in fields for inner in _models_in(found.annotation)]
        else:  # an index, a key of a dict, or the tag of a union
            tagged = [
                m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == part
            ]
            models = tagged or models
    return sorted({name for found_model in models for name in found_model.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]
