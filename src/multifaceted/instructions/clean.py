"""What is done to each prompt alone: the system message out, Unicode in one form, length within bounds."""

import unicodedata
from collections.abc import Callable

from multifaceted.instructions.funnel import Reason
from multifaceted.instructions.sources import SourcesRecipe
from multifaceted.instructions.system_text import split_system

# Control characters that no text needs.
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 127])
# Marks of byte order and of width, which nobody sees, and a line end that only some programs know.
_RARE = {"\ufeff": "", "\u200b": "", "\u2028": "\n"}


class DropError(ValueError):
    """A prompt that is not kept."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Cleaner:
    """Cleans prompts as a recipe asks, and counts what it changed."""

    def __init__(self, recipe: SourcesRecipe) -> None:
        self._recipe = recipe
        self._mend = _load_mender() if recipe.mojibake == "mend" else None
        self.unicode_changed = 0

    def clean(self, prompt: str) -> tuple[str, str]:
        """Clean one prompt.

        Returns:
            The prompt, and the system message that was taken out of it, empty where there was none.

        Raises:
            DropError: where it is not kept.
        """
        text = self._normalize(prompt)
        text, removed = self._without_system(text)
        bounds = self._recipe.length
        if len(text) < bounds.min:
            raise DropError("too_short", f"{len(text):,} characters")
        if len(text) > bounds.max:
            raise DropError("too_long", f"{len(text):,} characters")
        return text, removed

    def _normalize(self, prompt: str) -> str:
        text = prompt.replace("\r\n", "\n").replace("\r", "\n")
        if not text.isascii():
            for character, better in _RARE.items():
                text = text.replace(character, better)
            if self._mend:
                text = self._mend(text)
            if self._recipe.unicode != "keep":
                text = unicodedata.normalize(self._recipe.unicode, text)
        text = text.translate(_CONTROLS).strip()
        self.unicode_changed += text != prompt.strip()
        return text

    def _without_system(self, text: str) -> tuple[str, str]:
        split = split_system(text) if self._recipe.system_messages != "keep" else None
        if split is None:
            return text, ""
        if self._recipe.system_messages == "drop" or not split.prompt:
            raise DropError("system_message", split.removed[:200])
        return split.prompt, split.removed


def _load_mender() -> Callable[[str], str]:
    import ftfy  # noqa: PLC0415 - few recipes ask for it

    # Wrongly decoded text only: quotes, ligatures, widths and entities are as the author wrote them.
    config = ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        normalization=None,
    )
    return lambda text: ftfy.fix_text(text, config)
