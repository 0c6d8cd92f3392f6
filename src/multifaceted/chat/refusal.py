"""What an endpoint says when it refuses a request: the parameters that it points at, and its words.

Example:
    refusal = read_refusal(answer.text, hide=[prompt])
    refusal.pointed, refusal.words, refusal.cause

Servers wrap errors of other servers, as JSON in a string of JSON, so everything that is text is looked at.
What they echo of the request says nothing, and is passed over.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

_POINTERS = ("param", "parameter", "loc", "field", "path")  # keys that hold the name of what is wrong
_ECHOES = ("input", "input_value", "body", "request", "url", "request_id", "trace", "traceback")
_LOC = re.compile(r"'loc':\s*[\[(]([^\])]*)")  # pydantic's errors, as Python prints them
_MAX_TEXT = 20_000  # characters that are looked at
_MAX_DEPTH = 8
_QUOTE = re.compile(r"(['\"`])((?:(?!\1).)+)\1", re.DOTALL)
_LONG_QUOTE = 40  # characters; shorter ones name what is wrong, if they are not of the prompt
_SHORTEST_QUOTE = 4  # characters of the prompt that tell a quotation from a word that happens to stand in it
_ID = re.compile(
    r"\b(?=\w*\d)[\w-]{8,}\b|\b(?:req|chatcmpl|cmpl|msg|trace)[-_]\w+|\brequest[ _-]?id\W+\S+", re.IGNORECASE
)
_NUMBER = re.compile(r"\d+")
_TAG = re.compile(r"<[^>]{1,1000}>")
# Said where the messages are longer than the model's context: of this row, whatever else is refused.
_TOO_LONG = re.compile(
    r"context[_\s-]*(?:length|window|size|limit)|maximum context|reduce (?:the length|your prompt)"
    r"|(?:prompt|input|messages?|request)\W{1,3}(?:\w+\W{1,3}){0,3}too (?:long|large)"
    r"|too many (?:input )?tokens|token count exceeds|input length",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Refusal:
    """A refusal, without what it repeats of the request."""

    pointed: str  # names in the fields that say what is wrong, such as `param`; often empty
    words: str  # all that it says
    cause: str  # the same without numbers, ids and quotations: equal where the cause is

    @property
    def is_too_long(self) -> bool:
        """Return whether the messages of this one request are longer than the model takes."""
        return bool(_TOO_LONG.search(self.words))


def read_refusal(text: str, *, hide: Collection[str] = ()) -> Refusal:
    """Read the body of an error, whatever its shape.

    Args:
        text: the body.
        hide: what it may repeat of the request, such as prompts and the name of the model.
    """
    pointed, words = list[str](), list[str]()
    for is_pointer, found in _walk(_parse(text[:_MAX_TEXT]), depth=0):
        (pointed if is_pointer else words).append(found)
    said = " ".join(words)
    pointed += _LOC.findall(said)
    for echo in sorted(set(hide), key=len, reverse=True):
        said = re.sub(rf"(?<!\w){re.escape(echo)}(?!\w)", " ", said)  # a model may be called `m`
    return Refusal(" ".join(pointed), said, _strip(said, hide))


def _strip(words: str, echoes: Collection[str]) -> str:
    def shorten(quote: re.Match[str]) -> str:
        text = quote[2].rstrip(".…")
        is_echo = len(text) >= _SHORTEST_QUOTE and any(text in echo for echo in echoes)
        return "…" if is_echo or len(text) > _LONG_QUOTE else quote[0]

    words = _NUMBER.sub("#", _ID.sub("#", _QUOTE.sub(shorten, words)))
    return " ".join(words.lower().split())


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _TAG.sub(" ", text) if text.lstrip().startswith("<") else text  # a web page


def _walk(value: Any, *, depth: int, is_pointer: bool = False) -> Iterator[tuple[bool, str]]:
    """Yield every text, and whether it stands where a parameter is named."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield from _walk_text(value, depth=depth, is_pointer=is_pointer)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _ECHOES:
                yield from _walk(inner, depth=depth + 1, is_pointer=key in _POINTERS)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, depth=depth + 1, is_pointer=is_pointer)
    elif value is not None and not isinstance(value, bool):
        yield is_pointer, str(value)


def _walk_text(text: str, *, depth: int, is_pointer: bool) -> Iterator[tuple[bool, str]]:
    """Yield a text, in which JSON may begin anywhere."""
    start = text.find("{")
    if start >= 0:
        try:
            inner, end = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            if isinstance(inner, dict) and inner:
                yield is_pointer, text[:start]
                yield from _walk(inner, depth=depth + 1)
                yield from _walk(text[end:], depth=depth + 1)
                return
    yield is_pointer, text
