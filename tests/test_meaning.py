"""Semantic near duplicates: the rule as brute force applies it, real paraphrases found, other tasks kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.similar import meaning
from multifaceted.similar.meaning import DIMENSIONS, Embedder, SemanticSpec, Vectors, find_semantic_duplicates

MOONS = "Name three moons of Saturn and say who found them."
MOONS_AGAIN = "Who discovered the moons of Saturn? Name three of them."
BREAD = "How do I bake sourdough bread at home?"
POEM = "Write a poem about autumn."


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def units(rows: int, seed: int) -> Vectors:
    """Random directions, of few dimensions so that many are near to each other."""
    vectors = np.random.default_rng(seed).standard_normal((rows, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def kept_by_brute_force(vectors: Vectors, threshold: float) -> list[int]:
    kept: list[int] = []
    for row, vector in enumerate(vectors):
        if all(float(vector @ vectors[other]) < threshold for other in kept):
            kept.append(row)
    return kept


@given(rows=st.integers(0, 60), seed=st.integers(0, 1000), threshold=st.floats(0.3, 0.99))
@settings(max_examples=60, deadline=None)
def test_a_text_is_kept_if_it_is_near_to_none_that_is_kept(rows: int, seed: int, threshold: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meaning, "BLOCK_ROWS", 7)  # so that a few rows are many blocks
        patch.setattr(meaning, "KEPT_ROWS", 5)
        vectors = units(rows, seed)
        matches = find_semantic_duplicates(vectors, SemanticSpec(threshold=threshold))
    dropped = {match.row for match in matches}
    kept = [row for row in range(rows) if row not in dropped]
    assert kept == kept_by_brute_force(vectors, threshold)
    for match in matches:
        cosines = {other: float(vectors[match.row] @ vectors[other]) for other in kept if other < match.row}
        assert match.cosine == pytest.approx(max(cosines.values()), abs=1e-5)
        assert cosines[match.kept] == pytest.approx(match.cosine, abs=1e-5)


def test_progress_tells_every_text() -> None:
    told: list[int] = []
    find_semantic_duplicates(units(1300, 1), SemanticSpec(), progress=told.append)
    assert sum(told) == 1300


def test_the_same_in_other_words_is_found_and_other_tasks_stay(embedder: Embedder) -> None:
    vectors = embedder.embed([MOONS, BREAD, POEM, MOONS_AGAIN])
    assert vectors.shape == (4, DIMENSIONS)
    matches = find_semantic_duplicates(vectors, SemanticSpec())
    assert [(match.row, match.kept) for match in matches] == [(3, 0)]


def test_an_embedding_does_not_depend_on_the_texts_around_it(embedder: Embedder) -> None:
    texts = [POEM, "x" * 100_000, "", "詩を書いてください。", MOONS]
    together = embedder.embed(texts)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, atol=1e-5)
