"""Answers in the language of their request, in another one, and with a paragraph of another one inside."""

import re
from collections.abc import Iterator

from answers import join_parts, make_strong, read_alpaca
from cases import Case, CaseSet, draw, read_labels
from refusal_sets import LANGUAGES, read_multilingual

_HALF = 0.5
_LONG = 200  # characters of an answer whose language can be told


def make_crossed() -> Iterator[Case]:
    """The same 572 requests: an answer in its language, one to the request in another, and both mixed."""
    for model, languages in LANGUAGES.items():
        texts = {language: read_multilingual(model, language) for language in ("en", *languages)}
        for language, rows in texts.items():
            for place, row in enumerate(rows):
                asked, given = row["instruction"], row["response"]
                others = [name for name in texts if name != language]
                other = others[draw(asked, len(others))]
                foreign = texts[other][place]["response"]
                if len(given) < _LONG or len(foreign) < _LONG:
                    continue
                yield Case(given, faulty=False, prompt=asked, group=f"{language}")
                if draw(asked + "mixed", 3):
                    yield Case(foreign, faulty=True, prompt=asked, group=f"{language} → {other}")
                else:
                    half = given[: len(given) // 2] + "\n\n" + foreign
                    yield Case(half, faulty=True, prompt=asked, group=f"{language} + {other}")


def make_pairs() -> Iterator[Case]:
    """Pairs that people train on. Those with few letters of the request's script were read."""
    faulty = {(row["language"], int(row["index"])) for row in read_labels("language")}
    for language in ("zh", "en"):
        for place, row in enumerate(read_alpaca(language)):
            prompt = join_parts(row)
            yield Case(row["output"], (language, place) in faulty, prompt, group=language)
    yield from make_strong()


def differs_in_ascii(case: Case) -> bool:
    """Return whether one text is mostly ASCII and the other is not."""
    shares = [
        len(re.findall(r"[a-zA-Z]", text)) / (len(text) or 1) > _HALF for text in (case.prompt, case.output)
    ]
    return shares[0] != shares[1]


SETS = (
    CaseSet("crossed answers", ("other_language",), "crossed by us", make_crossed, differs_in_ascii),
    CaseSet("training pairs", ("other_language",), "read by us", make_pairs, differs_in_ascii),
)
