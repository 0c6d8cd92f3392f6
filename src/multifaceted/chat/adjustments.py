"""From a refusal to what may be written differently: `find_changes(refusal, request, body)`.

By meaning, not by wording: whatever a refusal names that we sent, by its name or by one of its known aliases
and values, may be what is unsupported. `capabilities.py` sends the request without it to find out.
"""

import re
from collections.abc import Iterator
from typing import Any

from multifaceted.chat.refusal import Refusal
from multifaceted.chat.token_limit import halve, read_token_limit
from multifaceted.chat.wire import NEWER_NAME, Change
from multifaceted.records import Request

# Ordered by how little a request loses without them.
_NAMES = {
    "seed": r"\bseed\b",
    "top_p": r"\btop[_\s-]?p\b",
    "temperature": r"\btemperature\b",
    "max_tokens": r"\bmax[_\s-]?(?:completion|output|new|gen)?[_\s-]?tokens?\b|\bcompletion tokens\b"
    r"|\bnum[_\s]?predict\b|\bmax[_\s-]?(?:length|total)|context|\bn_ctx\b|\btokens\b|sequence length",
    "response_format": r"response[_\s-]?(?:format|schema|mime)|\bjson[_\s-]?(?:schema|object|mode)\b"
    r"|structured[_\s-]?outputs?|\bguided|\bgrammar|\bschemas?\b|\bstrict\b|additionalProperties|\$ref\b|\$defs|xgrammar",
    "system": r"\broles?\b|alternat|system_?instruction|\b(?:system|developer)\b\W{0,3}.{0,30}"
    r"(?:messages?|prompts?|role|instruction|support|enabled|allowed)|\bfirst (?:message|turn)\b",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _NAMES.items()}
# A refusal of "the requested parameters" names none and means any.
_ANY = re.compile(
    r"\b(?:requested|given|provided|these|some|all)(?: of the)? (?:parameters|params|options|features)\b",
    re.IGNORECASE,
)
_OF_ANY = ("seed", "response_format", "top_p", "temperature")
_WEAKER = {"json_schema": ("json_object", "prompt"), "json_object": ("prompt",)}
# Said of a value, not of the parameter: where the recipe states it, it is the recipe that must be mended.
_RANGE = re.compile(
    r"\bbetween\b|\brange\b|\b(?:less|greater|lower|higher|smaller|larger) than\b|\bat (?:most|least)\b"
    r"|[<>≤≥]|\b(?:max|min)imum\b|\bexceeds?\b|\btoo (?:high|low|large|small)\b|\binvalid value\b"
    r"|\b(?:must|should) be (?!omitted|removed|unset|absent|null|none)",
    re.IGNORECASE,
)
_ONLY_ONE = re.compile(
    r"\bboth\b|\bonly one\b|\beither\b|exclusive|simultaneous|together|same time|at once|\bnot .{0,20}combin",
    re.IGNORECASE,
)
_ITS_NAME = re.compile(r"max[_\s-]?(?:completion|output|new)?[_\s-]?tokens", re.IGNORECASE)
# Prompt and reply are too long together, and nothing tells by how much
_NO_NUMBERS = re.compile(
    r"^(?!.*\d{3})(?=.*(?:completion|max_(?:new_)?tokens|output))", re.IGNORECASE | re.DOTALL
)
_SAMPLING = ("temperature", "top_p")


def find_changes(refusal: Refusal, request: Request, body: dict[str, Any]) -> Iterator[Change]:
    """Yield what may help, the likeliest first.

    Args:
        refusal: what the endpoint says.
        request: what was asked; its `extra_body` is the user's own, and is never changed.
        body: how it was written.
    """
    own = request.parameters.get("extra_body", {})
    # What the recipe states is kept where something else may be what is unwelcome.
    for name in sorted(_order_named(refusal), key=lambda name: name in request.stated):
        if name in _SAMPLING or name == "seed":
            if name in body and name not in own and not _is_for_the_recipe(name, refusal, request):
                yield Change("drop", name)
        elif name == "max_tokens":
            yield from _fit_tokens(refusal, request, body)
        elif name == "response_format" and name not in own:
            yield from _weaken(refusal, request, body)
        elif name == "system" and "messages" not in own and has_system(body):
            yield Change("fold", "system")


def still_names(refusal: Refusal, change: Change) -> bool:
    """Return whether a parameter is named though it was left out."""
    return change.kind == "drop" and bool(_PATTERNS[change.name].search(f"{refusal.pointed} {refusal.words}"))


def has_system(body: dict[str, Any]) -> bool:
    """Return whether a body holds a system message."""
    return any(message.get("role") == "system" for message in body["messages"])


def says_json(body: dict[str, Any]) -> bool:
    """Return whether any message of a body holds the word that JSON mode wants."""
    return any("json" in str(message.get("content")).lower() for message in body["messages"])


def name_own(refusal: Refusal, request: Request) -> list[str]:
    """Return the keys of the recipe's `extra_body` that a refusal names."""
    own = request.parameters.get("extra_body", {})
    said = f"{refusal.pointed} {refusal.words}"
    return [name for name in own if re.search(rf"\b{re.escape(name)}\b", said)]


def _order_named(refusal: Refusal) -> list[str]:
    pointed = [name for name, pattern in _PATTERNS.items() if pattern.search(refusal.pointed)]
    said = [name for name, pattern in _PATTERNS.items() if pattern.search(refusal.words)]
    if not (pointed or said) and _ANY.search(refusal.words):
        said = list(_OF_ANY)
    return list(dict.fromkeys([*pointed, *said]))


def _is_for_the_recipe(name: str, refusal: Refusal, request: Request) -> bool:
    """Return whether to go without a parameter would change what the recipe asks for in so many words."""
    if name not in request.stated:
        return False
    if _RANGE.search(refusal.words):
        return True
    both = all(other in request.stated and _PATTERNS[other].search(refusal.words) for other in _SAMPLING)
    return both and bool(_ONLY_ONE.search(refusal.words))


def _fit_tokens(refusal: Refusal, request: Request, body: dict[str, Any]) -> Iterator[Change]:
    own = request.parameters.get("extra_body", {})
    name = next((name for name in ("max_tokens", NEWER_NAME) if name in body and name not in own), None)
    if name is None or request.max_tokens is None:
        return
    limit = read_token_limit(refusal.words, sent=body[name], wanted=request.max_tokens)
    if limit is None and refusal.is_too_long and _NO_NUMBERS.search(refusal.words):
        limit = halve(body[name], wanted=request.max_tokens)
    if limit is not None:
        yield Change("limit", "max_tokens", limit.tokens, lasts=limit.lasts)
    elif name == "max_tokens" and _ITS_NAME.search(f"{refusal.pointed} {refusal.words}"):
        yield Change("rename", "max_tokens", NEWER_NAME)


def _weaken(refusal: Refusal, request: Request, body: dict[str, Any]) -> Iterator[Change]:
    sent = body.get("response_format", {})
    if sent.get("type") == "json_object" and not says_json(body):
        yield Change("say_json", "response_format")
    if sent.get("json_schema", {}).get("strict") and re.search(r"\bstrict\b", refusal.words):
        yield Change("loosen", "response_format")
    for weaker in _WEAKER.get(sent.get("type"), ()):
        yield Change("format", request.label, weaker)
