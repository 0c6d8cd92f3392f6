"""Reading any reply at all, and asking for JSON that can be read: `read_json_object(text)`."""

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, TypeAdapter, ValidationError

from multifaceted.yamlfile import show_path

ShapeT = TypeVar("ShapeT")

OBJECT_START = re.compile(r'\{\s*["}]')  # no brace in the prose before it


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


def read_json_object(text: str) -> dict[str, Any]:
    """The JSON object in a reply; words or code fences around it are passed over.

    Raises:
        ReplyError: where there is none, it is broken, or a key stands twice in it.
    """
    start = OBJECT_START.search(text)
    if start is None:
        raise ReplyError(["the reply holds no JSON object"])
    try:
        data, _ = json.JSONDecoder(object_pairs_hook=_unique_pairs).raw_decode(text, start.start())
    except ReplyError:
        raise
    except ValueError as error:
        raise ReplyError([f"the JSON is broken: {error}"]) from error
    except RecursionError as error:
        raise ReplyError(["the JSON is nested too deeply"]) from error
    assert isinstance(data, dict)  # noqa: S101 - it begins with a brace
    if "\\u" in text and not _is_text(data):
        raise ReplyError(["the JSON holds half of a character, such as \\ud800"])
    return data


def _is_text(data: Any) -> bool:
    """Whether every text in it can be written as UTF-8."""
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


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ReplyError(["a key stands twice in one JSON object"])
    return data
