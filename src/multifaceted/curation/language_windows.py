r"""Which languages a text is in: each window of it by itself, without what is in no language.

Example:
    measure_languages("Guten Morgen! …\n\nThe weather is fine. …", identify, 0.8, 8)  # {"de": 280, "en": 290}
"""

import re
from collections import Counter
from collections.abc import Iterator

from multifaceted.languages import LATIN, Identify, list_scripts

WINDOW = 300  # characters of a window, about
LONGEST = 100_000  # characters of a text that are looked at
MOST_WINDOWS = 12  # of a text; those of a longer one are taken evenly
# Code, addresses, formulas, and what is quoted: of one language or none, and not the text's own.
_NOT_PROSE = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|[^\s@]{1,64}@\S+|<[^<>\n]{1,200}>"
    r"|\$\$.*?\$\$|\$[^$\n]+\$|\\[a-zA-Z]+|^[ \t]*>[^\n]*"
    r"|\"[^\"\n]{1,400}\"|“[^”]{1,400}”|„[^“”]{1,400}[“”]|«[^»]{1,400}»|「[^」]{1,400}」|『[^』]{1,400}』|《[^》]{1,200}》"
    r"|\*[^*\n]{1,200}\*(?!\*)",
    re.DOTALL | re.MULTILINE,
)
_BREAK = re.compile(r"\n\s*\n|(?<=[.!?])\s+|(?<=[。！？؟।])|\n")
_WORD = re.compile(r"[^\W\d_]{2,}")
_HAN = re.compile("[\u3400-\u9fff]")
_KANA = re.compile("[\u3040-\u30ff]")
_DENSE = re.compile("[\u0e00-\u0e7f\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_LETTERS_OF_WORD = 2  # of a script without spaces, about
_OWN_SCRIPT = frozenset({"zh", "ja", "ko", "th"})
_KANA_SHARE = 0.1  # a Japanese text has at least so many of its own letters among the Chinese ones
_FEW_KANA = 0.02
_NAMES = 0.45  # the least share of small letters' words: below that it is a list of names or titles

# Codes of languages that are hardly told apart; which of them it is does not matter here.
_ALIKE = (
    ("no", "nb", "nn", "da", "sv"),
    ("hr", "bs", "sr", "sh", "sl", "mk", "bg"),
    ("id", "ms", "jv", "su"),
    ("es", "gl", "ast", "ca", "an", "pt", "oc"),
    ("cs", "sk"),
    ("nl", "af", "fy", "li", "nds"),
    ("it", "scn", "lmo", "pms", "vec", "nap"),
    ("de", "als", "bar", "lb"),
    ("hi", "mr", "ne", "bh", "mai"),
    ("ru", "uk", "be"),
    ("zh", "wuu", "yue"),
    ("ar", "arz"),
    ("fa", "mzn", "glk"),
    ("tl", "ceb", "war", "ilo"),
)
_FAMILY = {code: codes[0] for codes in _ALIKE for code in codes}


def measure_languages(text: str, identify: Identify, confidence: float, min_words: int) -> Counter[str]:
    """Count the letters of each language that a text is in; what cannot be told does not count.

    Args:
        text: any text.
        identify: tells a window's language.
        confidence: how sure it must be, 0..1.
        min_words: of a window.
    """
    letters: Counter[str] = Counter()
    for window in cut_windows(_NOT_PROSE.sub(" ", text[:LONGEST])):
        language = name_language(window, identify, confidence, min_words)
        if language:
            letters[language] += len(window)
    return letters


def name_language(window: str, identify: Identify, confidence: float, min_words: int) -> str:
    """Return the code of a window's language; empty where it cannot be told."""
    dense = 0 if window.isascii() else len(_DENSE.findall(window))
    words = _WORD.findall(window)
    if len(words) + dense // _LETTERS_OF_WORD < min_words:
        return ""
    language, score = identify(window)
    if language in _OWN_SCRIPT and 2 * dense >= len(window):
        score = 1.0  # its letters alone tell
    if score < confidence or language == "la":  # nobody writes Latin but in blind text
        return ""
    han = len(_HAN.findall(window)) if dense else 0
    if language in ("ja", "zh"):
        return _tell_by_kana(han, len(_KANA.findall(window)))
    if LATIN in list_scripts(language) and sum(map(str.islower, words)) < _NAMES * len(words):
        return ""
    return _FAMILY.get(language, language)


def cut_windows(text: str) -> Iterator[str]:
    """Yield at most `MOST_WINDOWS` runs of whole sentences and lines, of about `WINDOW` characters each."""
    parts = [part for part in _BREAK.split(text) if part and not part.isspace()]
    windows: list[list[str]] = [[]]
    size = 0
    for part in parts:
        if size + len(part) > WINDOW and windows[-1]:
            windows.append([])
            size = 0
        windows[-1].append(part)
        size += len(part)
    step = max(1, -(-len(windows) // MOST_WINDOWS))
    for window in windows[::step]:
        yield " ".join(" ".join(window).split())


def _tell_by_kana(han: int, kana: int) -> str:
    share = kana / (han + kana) if han + kana else 0.0
    return "ja" if share >= _KANA_SHARE else "zh" if share <= _FEW_KANA else ""
