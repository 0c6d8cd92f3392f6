"""Near duplicates batch by batch: the same however texts are cut, and cheap where many are equal."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_near import FEW_WORDS, greedy_matches, make_texts

from multifaceted.similar import index, stream
from multifaceted.similar.near import NearMatch, NearSpec, find_near_duplicates
from multifaceted.similar.shingles import Shingles, measure_pairs
from multifaceted.similar.stream import NearStream
from multifaceted.similar.words import Places

CUTS = st.lists(st.integers(0, 25), max_size=6).map(sorted)


def add_in_batches(texts: list[str], cuts: list[int], spec: NearSpec) -> list[NearMatch]:
    found = NearStream(spec)
    edges = [0, *cuts, len(texts)]
    return [match for start, stop in itertools.pairwise(edges) for match in found.add(texts[start:stop])]


@settings(deadline=None)
@given(
    texts=st.lists(FEW_WORDS, max_size=25),
    cuts=CUTS,
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
    permutations=st.sampled_from([16, 96]),
    large=st.sampled_from([1, 4, 100]),
)
def test_batches_of_any_size_give_what_one_pass_gives(
    texts: list[str], cuts: list[int], threshold: float, permutations: int, large: int
) -> None:
    # So few permutations miss many pairs, and it must be the same ones.
    spec = NearSpec(threshold=threshold, shingle=1, permutations=permutations)
    cuts = [min(cut, len(texts)) for cut in cuts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "LARGE_INDEX", large)
        assert add_in_batches(texts, cuts, spec) == NearStream(spec).add(texts)


@settings(deadline=None)
@given(
    texts=st.lists(FEW_WORDS, max_size=25),
    cuts=CUTS,
    threshold=st.sampled_from([0.5, 0.8, 1.0]),
    length=st.integers(1, 3),
)
def test_matches_are_those_of_comparing_each_text_with_all_that_are_kept(
    texts: list[str], cuts: list[int], threshold: float, length: int
) -> None:
    spec = NearSpec(threshold=threshold, shingle=length, permutations=256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multifaceted.similar.shingles.MISSED", 1e-12)
        found = add_in_batches(texts, [min(cut, len(texts)) for cut in cuts], spec)
        assert tuple(found) == find_near_duplicates(texts, spec).matches
    assert [(match.row, match.kept, match.jaccard) for match in found] == greedy_matches(texts, spec)


def test_a_text_is_found_again_after_any_number_of_batches() -> None:
    texts = make_texts(300, words=30)
    found = NearStream(NearSpec(threshold=0.7, permutations=96))
    assert [found.add(texts[start : start + 7]) for start in range(0, 300, 7)] == [[]] * 43
    again = found.add([f"{text} more" for text in reversed(texts)])
    assert [(match.row, match.kept) for match in again] == [(300 + row, 299 - row) for row in range(300)]
    assert {match.jaccard for match in again} == {28 / 29}


def test_texts_without_words_are_near_to_none() -> None:
    found = NearStream(NearSpec())
    assert [found.add(["", "?!", "..."]), found.add([]), found.add(["", "?!", "one"])] == [[], [], []]
    assert found.add(["One!"]) == [NearMatch(6, 5, 1.0)]


def test_equal_texts_cost_one_comparison_or_two_each(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = 0

    def count(
        left: Shingles, lefts: Places, right: Shingles, rights: Places, *, least: float
    ) -> npt.NDArray[np.float64]:
        nonlocal measured
        measured += len(lefts)
        return measure_pairs(left, lefts, right, rights, least=least)

    for module in (index, stream):
        monkeypatch.setattr(module, "measure_pairs", count)
    found = NearStream(NearSpec(threshold=0.7, permutations=96))
    one, other = make_texts(2, words=100)
    texts = [one, other, *[one, f"{one} more", other] * 1000]
    matches = [match for _ in range(5) for match in found.add(texts)]
    assert len(matches) == 5 * len(texts) - 2
    assert {match.kept for match in matches} == {0, 1}
    assert len(matches) <= measured <= 3 * len(matches)
