"""Dropping prompts by their language."""

from multifaceted.instructions.sources import LanguageSpec
from multifaceted.languages import open_identifier


class LanguageFilter:
    """Tells which prompts are in none of the wanted languages."""

    def __init__(self, spec: LanguageSpec) -> None:
        self._spec = spec
        self._identify = open_identifier()

    def find_other(self, prompt: str) -> str:
        """The language of a prompt that is surely none of the wanted; empty where it is, or may be, one.

        Short prompts and those made of names, code or numbers often look like another language a little.
        """
        language, score = self._identify(prompt)
        if language in self._spec.keep or score < self._spec.confidence:
            return ""
        return f"{language} ({score:.2f})"
