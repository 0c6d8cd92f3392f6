"""Reading any reply at all: `parse_text(text)`, `read_json(text, check)`."""

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from multifaceted.prompts.json_text import JsonError, list_objects
from multifaceted.yamlfile import show_path

ShapeT = TypeVar("ShapeT")


class ReplyError(ValueError):
    """A reply does not validate; `problems` go into the repair turn."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _strip(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


FilledText = Annotated[str, AfterValidator(_strip)]  # in a model of a JSON reply


def parse_text(text: str) -> str:
    """Read a free-text reply: the text without surrounding white space.

    Raises:
        ReplyError: where nothing is left.
    """
    if not text.strip():
        raise ReplyError(["the reply is empty"])
    return text.strip()


def read_json(text: str, check: Callable[[dict[str, Any]], ShapeT]) -> ShapeT:
    """Read the JSON object in a reply; words or code fences around it are passed over.

    Args:
        text: of the reply.
        check: makes the value of an object, or raises `ReplyError` with everything that is wrong with it.

    Returns:
        The value of the only object that `check` lets pass: a model may show the form before it fills it in.

    Raises:
        ReplyError: where there is no object, none is good, or several are, which say different things.
    """
    objects = list_objects(text)
    if not objects:
        raise ReplyError(["the reply holds no JSON object"])
    faults: list[ReplyError] = []
    good: list[tuple[object, ShapeT]] = []
    for data in objects:
        try:
            value = check(_need_text(data))
        except ReplyError as fault:
            faults.append(fault)
        else:
            good += [(data, value)] if all(data != other for other, _ in good) else []
    if not good:
        raise faults[-1]  # what comes last is what the model settled on
    if len(good) > 1:
        raise ReplyError([f"the reply holds {len(good)} different JSON objects; give one alone"])
    return good[0][1]


def _need_text(data: dict[str, Any] | JsonError) -> dict[str, Any]:
    if isinstance(data, JsonError):
        raise ReplyError([str(data)])
    if not _is_text(data):
        raise ReplyError(["the JSON holds half of a character, such as \\ud800"])
    return data


def _is_text(data: Any) -> bool:
    """Return whether every text in it can be written as UTF-8."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def check_reply(
    shape: TypeAdapter[ShapeT], data: Any, problems: Iterable[str] = (), *, strict: bool = False
) -> ShapeT:
    """Check what a reply holds.

    Raises:
        ReplyError: with everything that is wrong with it, the `problems` that were found before included.
    """
    found = list(problems)
    try:
        checked = shape.validate_python(data, strict=strict or None)
    except ValidationError as error:
        found += [f"{show_path(detail['loc'])}: {_explain(detail)}" for detail in error.errors()]
    if found:
        raise ReplyError(found)
    return checked


def _explain(detail: Any) -> str:
    if detail["type"] == "missing":
        return "is missing"
    if detail["type"] in ("model_type", "dict_type"):
        return "must be an object"
    return str(detail["msg"]).removeprefix("Value error, ")
