"""What is done to each prompt alone: the system message out, Unicode in one form, length within bounds."""

import re
import unicodedata
from collections.abc import Callable

from multifaceted.errors import SetupError
from multifaceted.instructions.funnel import Reason
from multifaceted.instructions.sources import SourcesRecipe
from multifaceted.instructions.system_text import split_system

# Control characters that no text needs, and marks of byte order and width that nobody sees.
_UNSEEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u200b]")
_LINE_ENDS = re.compile("\r\n?|\u2028")


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
        text = prompt
        if not text.isascii():
            if self._mend:
                text = self._mend(text)
            if self._recipe.unicode != "keep":
                text = unicodedata.normalize(self._recipe.unicode, text)
        text = _UNSEEN.sub("", _LINE_ENDS.sub("\n", text)).strip()
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
    try:
        import ftfy  # noqa: PLC0415 - of an extra
    except ImportError as error:
        raise SetupError(
            "mojibake: mend needs the library ftfy, which is not installed",
            hint='pip install "multifaceted[curation]"',
        ) from error
    # Wrongly decoded text only: quotes, ligatures, widths and entities are as the author wrote them.
    config = ftfy.TextFixerConfig(
        unescape_html=False,
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_character_width=False,
        normalization=None,
    )
    return lambda text: ftfy.fix_text(text, config)
