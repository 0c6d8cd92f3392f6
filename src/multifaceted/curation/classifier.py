"""Text-classification models of the Hugging Face Hub as filters, beside the rules; they run on this machine.

    classifiers:
      - {name: toxic, model: unitary/toxic-bert, labels: [toxic], threshold: 0.8}

    mf.find(frame, [mf.classifier("toxic", "unitary/toxic-bert", ["toxic"])])      # the same from Python

A model reads some 500 tokens at a time; a longer text is read in pieces, and its highest score counts.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
from pydantic import Field, PrivateAttr

from multifaceted.curation.base import RowFilter
from multifaceted.errors import InputError, Problem, SetupError
from multifaceted.extras import import_extra
from multifaceted.strictmodel import StrictModel
from multifaceted.yamlfile import suggest

_BATCH = 32  # pieces at a time


class ClassifierSpec(StrictModel):
    """Which model looks at which text, and which of its labels are found."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")  # the reason in the record
    model: str = Field(min_length=1)  # a name on the Hub, or a folder
    labels: tuple[str, ...] = Field(min_length=1)  # as the model's configuration names them
    threshold: float = Field(default=0.5, gt=0, le=1)  # the least score of one of them
    column: Literal["prompt", "system", "output"] = "output"
    revision: str | None = None  # of the model on the Hub: a branch, a tag or a commit
    piece: int = Field(default=1500, ge=100)  # characters that are read at a time
    action: Literal["drop", "note"] = "drop"

    def open(self, base: Path = Path()) -> "ClassifierFilter":
        """Return the filter; a folder stands below `base`."""
        folder = base / self.model
        model = str(folder) if folder.is_dir() else self.model
        given = self.model_dump(exclude={"name"}) | {"model": model}
        words = {
            "name": self.name,
            "summary": f"{self.model} says {' or '.join(self.labels)} of the {self.column}",
        }
        kind = type(f"Classifier_{self.name}", (ClassifierFilter,), {"__module__": __name__, **words})
        return kind(**given)  # type: ignore[no-any-return]


class ClassifierFilter(RowFilter):
    """One of them, as a filter."""

    name: ClassVar[str] = "classifier"
    summary: ClassVar[str] = "a text-classification model says so"
    model: str
    labels: tuple[str, ...]
    threshold: float
    column: Literal["prompt", "system", "output"]
    revision: str | None
    piece: int
    _pipeline: Any = PrivateAttr(default=None)
    _lock: Any = PrivateAttr(default_factory=threading.Lock)

    def prepare(self) -> None:
        """Load the model, from the Hub where it is not here.

        Raises:
            SetupError: where it cannot be loaded.
            InputError: where it has no such label.
        """
        if self._pipeline is not None:
            return
        need = f"classifier {self.name}"
        transformers = import_extra("transformers", "classifier", need)
        import_extra("torch", "classifier", need)
        try:
            self._pipeline = transformers.pipeline(
                "text-classification", model=self.model, revision=self.revision, top_k=None
            )
        except (OSError, ValueError, KeyError) as error:
            said = str(error).strip().splitlines()[0]
            hint = "name a text-classification model of the Hub, or a folder with one"
            raise SetupError(f"{need}: {self.model} cannot be loaded: {said}", hint=hint) from error
        known = list(self._pipeline.model.config.id2label.values())
        unknown = [label for label in self.labels if label not in known]
        if unknown:
            raise InputError(
                Problem(
                    need, 0, f"{self.model} has no label {label!r}{suggest(label, known)}: {', '.join(known)}"
                )
                for label in unknown
            )

    def find(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows it objects to, with the score of the likeliest label."""
        texts = rows[self.column].fill_null("").to_list()
        best = self._classify(texts)
        scores = pl.Series([score for score, _ in best], dtype=pl.Float64)
        labels = pl.Series([label for _, label in best], dtype=pl.String)
        found = rows.with_columns(score=scores, detail=pl.format("{} {}", labels, scores.round(2)))
        return found.filter(pl.col("score") >= self.threshold)

    def _classify(self, texts: Sequence[str]) -> list[tuple[float, str]]:
        """Return the highest score of any wanted label in any piece of each text, and that label."""
        # Pieces of like length together: the shorter ones of a batch are padded.
        pieces = sorted(self._cut(texts), key=lambda piece: len(piece[1]))
        best: list[tuple[float, str]] = [(0.0, "")] * len(texts)
        with self._lock:
            said = self._pipeline([piece for _, piece in pieces], batch_size=_BATCH, truncation=True)
        for (place, _), scores in zip(pieces, said, strict=True):
            wanted = [
                (float(entry["score"]), str(entry["label"]))
                for entry in scores
                if entry["label"] in self.labels
            ]
            best[place] = max([best[place], *wanted])
        return best

    def _cut(self, texts: Sequence[str]) -> Iterator[tuple[int, str]]:
        for place, text in enumerate(texts):
            for start in range(0, len(text), self.piece):
                if piece := text[start : start + self.piece].strip():
                    yield place, piece


def classifier(name: str, model: str, labels: Sequence[str], **parameters: Any) -> ClassifierFilter:
    """Make a filter of a text-classification model, for `find`.

    Args:
        name: the reason that it gives.
        model: a name on the Hugging Face Hub, or a folder.
        labels: those of its labels that are found.
        parameters: `threshold`, `column`, `revision`, `piece` and `action`, as in a curation recipe.

    Raises:
        pydantic.ValidationError: where a parameter is not as it should be.
    """
    return ClassifierSpec(name=name, model=model, labels=tuple(labels), **parameters).open()
