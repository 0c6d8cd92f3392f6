"""How many tokens a reply may have, read from a refusal that tells it.

Example:
    read_token_limit("maximum context length is 8192 tokens. However, you requested 9000 tokens "
              "(5000 in the messages, 4000 in the completion)", sent=4000)    # TokenLimit(3192, lasts=False)

Numbers are taken only where they add up: what was asked for is known, so the length of the prompt and of the
context can be told from each other.
"""

import re
from typing import NamedTuple

_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?![\w.]*\d)")
_VAGUE = re.compile(r"\babout\b|\bapproximately\b|\bat least\b", re.IGNORECASE)
_CONTEXT = re.compile(
    r"(?:context(?:[_\s]?(?:length|window|size|limit))?|maximum|max_total_tokens|must be <=|limit)"
    r"\D{0,40}?(\d+)",
    re.IGNORECASE,
)
_PROMPT = re.compile(
    r"(\d+)\s*(?:tokens?\s*)?(?:(?:in|from|of|are|as)\s+)?(?:the\s+|your\s+)?`?(?:text\s+)?"
    r"(?:inputs?|prompt|messages)\b"
    r"|\b(?:prompt|input)s?\b(?:\s+(?:has|contains|is|of|with|length|tokens))*\D{0,12}?(\d+)",
    re.IGNORECASE,
)
_CAP = re.compile(
    r"(?:(?:(?P<less>less|lower|smaller|fewer) than|(?:greater|larger|more|higher) than|at most|up to|<=|≤|>)"
    r"(?P<equal> or equal to)?|\bmax(?:imum)?(?: is| of|\W)|[\[(]\s*\d+\s*,|between \d+ and"
    r"|from \d+ \(inclusive\) to)[\s`'\"(]*(?P<cap>\d+)(?P<exclusive>\s*\(exclusive\))?",
    re.IGNORECASE,
)
_LOOSE_CAP = re.compile(
    r"(?:exceeds?|maximum|limit)\D{0,60}?[\s`'\"(]*(?P<cap>\d+)(?P<exclusive>\s*\(exclusive\))?",
    re.IGNORECASE,
)
# Prompt and reply together, as `190000 + 20000 > 200000`, or with no number for the prompt at all
_ADDED = re.compile(r"(\d+)\s*\+\s*(\d+)\s*(?:>|<=?|exceeds?)\D{0,20}(\d+)")
_SUM = re.compile(r"\+|\binputs?\b`?\s+(?:tokens|length)|\bprompts?\b|\bmessages\b", re.IGNORECASE)
SMALLEST_SHARE = 8  # of what was asked for, below which a reply is not worth asking for


class TokenLimit(NamedTuple):
    """Tokens that a reply may have; `lasts` where that is so for any request to this model."""

    tokens: int
    lasts: bool


def read_token_limit(words: str, *, sent: int, wanted: int) -> TokenLimit | None:
    """Return the room for a reply, where it is smaller than `sent`; None where a refusal does not tell it.

    Args:
        words: of the refusal.
        sent: `max_tokens` of the refused request.
        wanted: what the recipe asks for; where numbers are vague, the half is tried, down to an eighth.
    """
    numbers = {int(found.replace(",", "")) for found in _NUMBER.findall(words)}
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", words)
    context, prompt = _find_context(plain, numbers, sent)
    if context is not None and prompt is not None:
        room = context - prompt
        if _VAGUE.search(words):
            return halve(min(2 * room, sent), wanted=wanted)
        return TokenLimit(room, lasts=False) if 0 < room < sent else None
    pattern = _CAP if _CAP.search(plain) or "context" in plain.lower() else _LOOSE_CAP
    for found in pattern.finditer(plain):
        told = found.groupdict()
        is_below = bool(told["exclusive"] or (told.get("less") and not told.get("equal")))
        cap = int(told["cap"]) - is_below
        if _SUM.search(plain):
            return halve(min(sent, cap), wanted=wanted) if "+" in plain else None
        if 0 < cap < sent:
            return TokenLimit(cap, lasts=True)
    return None


def halve(tokens: int, *, wanted: int) -> TokenLimit | None:
    """Half of so many tokens, where that is still worth asking for; None where it is not."""
    half = tokens // 2
    return TokenLimit(half, lasts=False) if half and half * SMALLEST_SHARE >= wanted else None


def _find_context(words: str, numbers: set[int], sent: int) -> tuple[int | None, int | None]:
    """Return the tokens of the context and of the prompt, where both are told."""
    most = max(numbers, default=0)
    for prompt in sorted(numbers - {sent}, key=lambda number: number + sent != most):
        total = prompt + sent
        if total not in numbers:
            continue
        between = {number for number in numbers if prompt < number < total}
        between = between - {sent} or between
        if len(between) == 1:
            return between.pop(), prompt
    for first, second, limit in _ADDED.findall(words):
        if sent in (int(first), int(second)):
            return int(limit), int(first) + int(second) - sent
    contexts = [int(found) for found in _CONTEXT.findall(words)]
    prompts = [int(first or second) for first, second in _PROMPT.findall(words)]
    for context in contexts:
        for prompt in prompts:
            if prompt < context < prompt + sent:
                return context, prompt
    return None, None
