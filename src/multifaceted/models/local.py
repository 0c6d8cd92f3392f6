"""The embedded model: `local`, or `{kind: local, weights: mine.gguf}`."""

from collections.abc import Hashable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from multifaceted.models.base import BaseModelSpec
from multifaceted.models.fields import JsonObject, Number
from multifaceted.models.prices import Mode, Price

BUILTIN = "builtin"
FROM_HUB = "hf:"


class LocalModel(BaseModelSpec):
    """The embedded model: llama.cpp in a child process, with the given weights or the built-in ones.

    The sampling defaults were chosen by trial with the built-in weights, which repeat themselves without
    end at the usual ones. Without the prompt cache, equal requests get equal replies in any order.
    """

    kind: Literal["local"] = "local"
    weights: str = BUILTIN  # `builtin`, a path to a GGUF file, or `hf:org/repo/file.gguf`
    threads: int | None = Field(default=None, ge=1)  # None: one less than there are cores
    context: int = Field(default=8192, ge=512)  # tokens
    temperature: Number | None = Field(default=0.6, ge=0)
    extra_body: JsonObject = Field(
        default={"cache_prompt": False, "frequency_penalty": 0.3, "repeat_last_n": 256}
    )

    @property
    def label(self) -> str:
        """Return its weights."""
        return f"local ({self.weights})"

    @property
    def identity(self) -> Hashable:
        """Return what its server is started with."""
        return self.weights, self.threads, self.context, self.timeout

    @property
    def small(self) -> bool:
        """Return whether they are the built-in weights."""
        return self.weights == BUILTIN

    def find_price(self, mode: Mode) -> Price | None:
        """Nothing; it takes no batches."""
        return Price(0.0, 0.0, 0.0, "embedded model") if mode == "live" else None

    def rebase(self, base: Path) -> Self:
        """Weights that are a path are written from the recipe's folder."""
        if self.weights == BUILTIN or self.weights.startswith(FROM_HUB):
            return self
        return self.model_copy(update={"weights": str(base / self.weights)})
