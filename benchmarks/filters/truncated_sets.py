# ruff: noqa: RUF001 - marks of Chinese text
"""Replies cut off: by a cap on tokens, of which the tokens themselves tell, and by a cut of our own."""

import random
import re
from collections.abc import Iterator

from answers import STRONG, read_alpaca, read_answers
from cases import Case, CaseSet, draw
from refusal_sets import LANGUAGES, read_multilingual

_CAP = 512  # tokens
_ENDS = {"128009", "128001", "151643", "151645"}  # end of text, and what fills up
_PIECE = re.compile(r"\s?[^\W\d_]{1,5}|\s?\d{1,3}|\s?[^\w\s]+|\s+|\w")  # about a token
_KINDS = {
    "code": re.compile(r"```"),
    "table": re.compile(r"(?m)^\|.*\|\s*$"),
    "list": re.compile(r"(?m)(?:^\s*(?:[-*•]|\d+[.)])\s.*\n+){3}"),
}


def make_capped() -> Iterator[Case]:
    """Answers in 13 languages: one without an end token at 512 tokens was cut."""
    for model, languages in LANGUAGES.items():
        for language in ("en", *languages):
            for row in read_multilingual(model, language):
                tokens = row["generation_tokens"].split()
                cut = len(tokens) == _CAP and tokens[-1] not in _ENDS
                yield Case(row["response"], cut, row["instruction"], group=language)


def make_cut() -> Iterator[Case]:
    """Complete answers of strong models, and each cut behind a random piece of its last four fifths."""
    for model in STRONG:
        for row in read_answers(model):
            if draw(row["instruction"] + model, 3) == 0:
                yield from _cut(row["instruction"], row["output"], _find_kind(row["output"]))
    for row in read_alpaca("zh"):
        yield from _cut(row["instruction"] + row["input"], row["output"], "Chinese")


def _cut(prompt: str, output: str, kind: str) -> Iterator[Case]:
    yield Case(output, faulty=False, prompt=prompt, group=kind)
    pieces = _PIECE.findall(output)
    if len(pieces) >= 40:  # noqa: PLR2004 - a short one is not cut by any cap
        place = random.Random(prompt).randint(len(pieces) // 5, len(pieces) - 2)
        cut = "".join(pieces[:place])
        # Cut behind the end of a sentence it looks complete to anybody.
        if not re.search(r"[.!?。！？:：]\W*$", cut.rstrip()):
            yield Case(cut, faulty=True, prompt=prompt, group=kind)


def _find_kind(text: str) -> str:
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(text)), "prose")


def has_no_period(case: Case) -> bool:
    """Return whether a text lacks the end of a sentence, which is what most pipelines look for."""
    return not re.search(r"[.!?。！？…\"”'’)*`:\]]\s*$", case.output)


# What runs round in a loop to its cap is told of as that.
_REASONS = ("truncated", "unbalanced_fence", "repetition")
SETS = (
    CaseSet("512 tokens, 13 languages", _REASONS, "no end token at the cap", make_capped, has_no_period),
    CaseSet("cut answers", _REASONS, "cut by us", make_cut, has_no_period),
)
