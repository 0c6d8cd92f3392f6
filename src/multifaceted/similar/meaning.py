"""Semantic near duplicates: which of many texts ask the same in other words, by the cosine of embeddings.

    vectors = Embedder().embed(["Name three moons of Saturn.", ...])
    find_semantic_duplicates(vectors, SemanticSpec(threshold=0.9))  # [SemanticMatch(17, kept=3, cosine=0.97)]

The embeddings are those of WordLlama, which brings its weights in its wheel: means of 256-dimensional token
vectors that were trained for similarity. They do not know the order of words, and know English best.
Each text is compared with all before it that are kept, by matrix products; memory is one vector a text.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from multifaceted.extras import import_extra
from multifaceted.strictmodel import StrictModel

Vectors: TypeAlias = npt.NDArray[np.float32]

DIMENSIONS = 256
BATCH_CHARACTERS = 40_000  # of a batch after padding; its token vectors are in memory at once
BLOCK_ROWS = 512
KEPT_ROWS = 16_384  # kept rows that a block is compared with at a time: a product of 32 MB


class SemanticSpec(StrictModel):
    """When two texts ask the same."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9  # the least cosine


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    """A text that asks what an earlier one asks, which is kept."""

    row: int
    kept: int  # of the kept texts before it the most similar
    cosine: float  # of these two


class Embedder:
    """Texts to unit vectors.

    Raises:
        SetupError: where the extra `semantic` is not installed.
    """

    def __init__(self) -> None:
        self._model = _load_model()

    def embed(self, texts: list[str]) -> Vectors:
        """Return the embeddings of texts, shape (texts, 256), of length 1 each."""
        vectors = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for rows in _batch_by_length(texts):
            found = self._model.embed([texts[row] for row in rows], batch_size=len(rows))
            vectors[rows] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return vectors


def find_semantic_duplicates(
    vectors: Vectors, spec: SemanticSpec, *, progress: Callable[[int], None] | None = None
) -> list[SemanticMatch]:
    """Find the texts that are similar to an earlier one that is kept, by row.

    Time grows with the square of the texts: 16,000 take a second on two cores, 65,000 about six.

    Args:
        vectors: of the texts in order, shape (texts, dimensions), of length 1 each.
        spec: what counts as similar.
        progress: told how many texts were gone through since it was told last.
    """
    kept, numbers = np.empty_like(vectors), np.zeros(len(vectors), dtype=np.int64)
    count, matches = 0, []
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS]
        places, cosines = _nearest(block, kept[:count])
        among = block @ block.T
        alone = np.zeros(len(block), dtype=np.bool_)  # those of the block that are kept
        for row, place in enumerate(places.tolist()):
            other, cosine = int(numbers[place]), float(cosines[row])
            inside = np.where(alone, among[row], -1)
            if inside.max() > cosine:
                other, cosine = start + int(inside.argmax()), float(inside.max())
            if cosine >= spec.threshold:
                matches.append(SemanticMatch(start + row, other, cosine))
            else:
                alone[row] = True
        found = np.flatnonzero(alone)
        kept[count : count + len(found)], numbers[count : count + len(found)] = block[found], start + found
        count += len(found)
        if progress:
            progress(len(block))
    return matches


def _nearest(block: Vectors, kept: Vectors) -> tuple[npt.NDArray[np.int64], Vectors]:
    """Of each row the place of the most similar kept row, and their cosine; -1 where none is kept."""
    places, cosines = np.zeros(len(block), dtype=np.int64), np.full(len(block), -1, dtype=np.float32)
    for start in range(0, len(kept), KEPT_ROWS):
        products = block @ kept[start : start + KEPT_ROWS].T
        best = products.argmax(axis=1)
        found = products[np.arange(len(block)), best]
        better = found > cosines
        places[better], cosines[better] = start + best[better], found[better]
    return places, cosines


def _batch_by_length(texts: list[str]) -> Iterator[list[int]]:
    """Yield rows of similar length together: the model pads each batch to its longest text."""
    batch: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: len(texts[row])):
        if batch and len(texts[row]) * (len(batch) + 1) > BATCH_CHARACTERS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _load_model() -> Any:
    wordllama = import_extra("wordllama", "semantic", "finding semantic duplicates")
    # Its weights are in the wheel, but it looks for the tokenizer under a wrong name there and would fetch
    # it; as "cache" its own folder has both, and nothing is downloaded.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(dim=DIMENSIONS, cache_dir=folder, disable_download=True)
