"""Near duplicates: true Jaccard, clusters as brute force finds them, planted ones found, clean texts kept."""

import itertools
import random
import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multifaceted.similar.index import NearIndex
from multifaceted.similar.near import NearSpec, find_near_duplicates
from multifaceted.similar.shingles import (
    Shingles,
    choose_bands,
    join_shingles,
    make_word_sets,
    measure_pairs,
    shingle_texts,
)
from multifaceted.similar.table import HashTable
from multifaceted.similar.words import SPACELESS, hash_words, split_words

VOCABULARY = ["".join(letters) for letters in itertools.product("abcdefghij", string.ascii_lowercase)]
FEW_WORDS = st.lists(st.sampled_from(["a", "b", "c", "dd", "é", "詩"]), max_size=9).map(" ".join)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def is_spaceless(word: str) -> bool:
    return len(word) == 1 and any(first <= ord(word) <= last for first, last in SPACELESS)


def shingles_of(text: str, length: int) -> set[tuple[str, ...]]:
    words = split_words(text, signs=True)
    if 2 * sum(map(is_spaceless, words)) > len(words):
        length *= 2
    if not words:
        return set()
    return {tuple(words[start : start + length]) for start in range(max(len(words) - length + 1, 1))}


def names_of(text: str) -> set[str]:
    """Words such as C#: texts with other names are about something else."""
    return {word for word in split_words(text, signs=True) if len(word) > 1 and word[-1] in "#+"}


def jaccard_of(one: str, other: str, length: int) -> float:
    if names_of(one) != names_of(other):
        return 0.0
    left, right = shingles_of(one, length), shingles_of(other, length)
    return len(left & right) / len(left | right) if left or right else 0.0


def distinct_shingles(texts: list[str], length: int) -> Shingles:
    return join_shingles([part.distinct() for part in shingle_texts(texts, length)])


def cluster_by_brute_force(texts: list[str], spec: NearSpec) -> set[frozenset[int]]:
    groups = [{row} for row in range(len(texts))]
    for one, other in itertools.combinations(range(len(texts)), 2):
        if jaccard_of(texts[one], texts[other], spec.shingle) >= spec.threshold:
            first = next(group for group in groups if one in group)
            second = next(group for group in groups if other in group)
            if first is not second:
                groups.remove(second)
                first |= second
    return {frozenset(group) for group in groups if len(group) > 1}


def greedy_matches(texts: list[str], spec: NearSpec) -> list[tuple[int, int, float]]:
    kept: list[int] = []
    matches = []
    for row, text in enumerate(texts):
        jaccards = [(row, other, jaccard_of(text, texts[other], spec.shingle)) for other in kept]
        near = [match for match in jaccards if match[2] >= spec.threshold]
        if near:
            matches.append(near[0])
        else:
            kept.append(row)
    return matches


def make_texts(count: int, *, words: int, seed: int = 7) -> list[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(VOCABULARY, k=words)) for _ in range(count)]


@settings(deadline=None)
@given(texts=st.lists(FEW_WORDS | ANY_TEXT, max_size=8), length=st.integers(1, 4))
def test_measured_jaccard_is_that_of_the_sets(texts: list[str], length: int) -> None:
    pairs = list(itertools.product(range(len(texts)), repeat=2))
    lefts, rights = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    shingles = distinct_shingles(texts, length)
    expected = [jaccard_of(texts[one], texts[other], length) for one, other in pairs]
    assert measure_pairs(shingles, lefts, shingles, rights).tolist() == expected


@settings(deadline=None)
@given(texts=st.lists(FEW_WORDS, max_size=8), least=st.sampled_from([0.2, 0.5, 0.75, 1.0]))
def test_pairs_that_are_too_different_in_size_are_not_measured(texts: list[str], least: float) -> None:
    lefts, rights = (
        np.array(list(itertools.product(range(len(texts)), repeat=2)), dtype=np.int64).reshape(-1, 2).T
    )
    shingles = distinct_shingles(texts, 1)
    all_ = measure_pairs(shingles, lefts, shingles, rights)
    some = measure_pairs(shingles, lefts, shingles, rights, least=least)
    assert np.where(all_ >= least, all_, 0).tolist() == np.where(some >= least, some, 0).tolist()
    assert (some <= all_).all()


def test_a_set_of_words_has_each_word_once_and_runs_of_three_where_there_are_no_spaces() -> None:
    sets = make_word_sets(["The sky, the SKY + 1", "the sky 1 +", "", "詩を書いて詩を", "詩を書い", "詩を"])
    assert sets.sizes.tolist() == [4, 4, 0, 7, 4, 2]
    lefts, rights = np.array([[0, 1], [3, 4], [3, 5]]).T
    # 詩を書, を書い, 書いて, いて詩, て詩を, 詩を, を; 詩を書, を書い, 書い, い; 詩を, を
    assert measure_pairs(sets, lefts, sets, rights).tolist() == [1.0, 2 / 9, 2 / 7]


@settings(deadline=None)
@given(
    texts=st.lists(FEW_WORDS, max_size=25),
    threshold=st.sampled_from([0.5, 0.8, 1.0]),
    length=st.integers(1, 3),
)
def test_clusters_are_those_of_brute_force(texts: list[str], threshold: float, length: int) -> None:
    # With so many bands nothing goes unseen, so that the clusters must be the very same.
    spec = NearSpec(threshold=threshold, shingle=length, permutations=256)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multifaceted.similar.shingles.MISSED", 1e-12)
        found = find_near_duplicates(texts, spec)
    assert {frozenset(cluster) for cluster in found.clusters} == cluster_by_brute_force(texts, spec)
    assert [(match.row, match.kept, match.jaccard) for match in found.matches] == greedy_matches(texts, spec)


def test_planted_near_duplicates_are_found_and_clean_texts_are_not() -> None:
    texts = make_texts(400, words=60)
    for row in range(0, 100, 2):  # one word of sixty changes three shingles of 58: Jaccard 55/61
        words = texts[row].split()
        words[30] = "changed"
        texts.append(" ".join(words))
    found = find_near_duplicates(texts, NearSpec())
    assert {(match.row, match.kept) for match in found.matches} == {
        (400 + number, row) for number, row in enumerate(range(0, 100, 2))
    }
    assert {round(match.jaccard, 6) for match in found.matches} == {round(55 / 61, 6)}


def test_the_ends_of_a_chain_that_have_little_in_common_are_both_kept() -> None:
    first = make_texts(1, words=40)[0].split()
    second = [*first[:36], "w", "x", "y", "z"]
    third = [*second[4:], "p", "q", "r", "s"]
    texts = [" ".join(words) for words in (first, second, third)]
    found = find_near_duplicates(texts, NearSpec(threshold=0.75))
    assert found.clusters == ((0, 1, 2),)
    assert [(match.row, match.kept) for match in found.matches] == [(1, 0)]


def test_many_copies_of_one_text_are_one_cluster() -> None:
    texts = make_texts(3, words=30) * 300
    found = find_near_duplicates(texts, NearSpec())
    assert [len(cluster) for cluster in found.clusters] == [300, 300, 300]
    assert [cluster[0] for cluster in found.clusters] == [0, 1, 2]


def test_large_groups_below_the_threshold_are_told_apart() -> None:
    head = " ".join(make_texts(1, words=40)[0].split())
    tails = make_texts(60, words=20, seed=8)
    texts = [f"{head} {tail}" for tail in tails]  # Jaccard about 0.5, so that many share a band of a few rows
    spec = NearSpec(threshold=0.45, permutations=128)
    assert {frozenset(c) for c in find_near_duplicates(texts, spec).clusters} == cluster_by_brute_force(
        texts, spec
    )
    spec = NearSpec(threshold=0.6, permutations=1024)
    assert find_near_duplicates(texts, spec).clusters == ()


def test_an_arrow_column_gives_what_a_list_gives() -> None:
    texts = [*make_texts(50, words=20), *make_texts(10, words=20)]
    column = pa.chunked_array([pa.array(texts[:7]), pa.array(texts[7:33]), pa.array(texts[33:])])
    assert find_near_duplicates(column, NearSpec()) == find_near_duplicates(texts, NearSpec())
    assert find_near_duplicates(pa.array(texts), NearSpec()).clusters != ()


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["...", "?!"], ["one"]])
def test_texts_without_words_are_never_duplicates(texts: list[str]) -> None:
    assert find_near_duplicates(texts, NearSpec()).matches == ()


def test_case_width_and_punctuation_do_not_count_and_signs_do() -> None:
    same = ["Why is the sky blue?", "WHY — is the sky... blue", "Ｗｈｙ is the ｓｋｙ blue"]
    assert find_near_duplicates(same, NearSpec()).clusters == ((0, 1, 2),)
    sums = ["Compute 3 + 4", "Compute 3 * 4", "Compute 3 / 4"]
    assert find_near_duplicates(sums, NearSpec()).clusters == ()


def test_scripts_without_spaces_are_compared_character_by_character() -> None:
    assert split_words("詩を書いてください") == list("詩を書いてください")
    assert split_words("นี่คือแมว") == list("นี่คือแมว")
    assert split_words("हिन्दी में लिखो 2026") == ["हिन्दी", "में", "लिखो", "2026"]
    texts = [
        "春の海について短い詩を書いてください。",
        "春の海について短い詩を書いてください",
        "秋の山についての長い話をしてください。",
    ]
    assert find_near_duplicates(texts, NearSpec()).clusters == ((0, 1),)


@settings(deadline=None)
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_words_have_one_hash_wherever_they_stand(texts: list[str]) -> None:
    words = hash_words(texts, signs=True)
    spelled = [split_words(text, signs=True) for text in texts]
    assert words.counts.tolist() == [len(some) for some in spelled]
    pairs = set(zip(itertools.chain.from_iterable(spelled), words.hashes.tolist(), strict=True))
    assert len(pairs) == len({word for word, _ in pairs}) == len({value for _, value in pairs})


def test_word_hashes_are_the_same_in_every_version() -> None:
    assert hash_words(["Why?"]).hashes.tolist() == [2750774583229781302]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("permutations", [64, 128, 256])
def test_bands_find_nearly_all_pairs_at_the_threshold(threshold: float, permutations: int) -> None:
    bands, rows = choose_bands(threshold, permutations)
    assert bands * rows <= permutations
    assert 1 - (1 - threshold**rows) ** bands >= 0.998


def test_an_index_gives_the_most_similar_of_its_texts() -> None:
    ours = make_texts(30, words=40)
    changed = ours[3].split()
    changed[10] = "changed"
    index = NearIndex.of([*ours, " ".join(changed)], NearSpec())
    [match] = index.match([make_texts(1, words=40, seed=9)[0], f"{' '.join(changed)} more", ""])
    assert (match.row, match.other) == (1, 30)
    assert match.jaccard == pytest.approx(38 / 39)
    assert list(index.match([])) == []
    assert list(NearIndex.of([], NearSpec()).match(ours)) == []


def test_joined_indexes_give_what_one_index_of_all_texts_gives() -> None:
    ours = [*make_texts(20, words=40), "", *make_texts(10, words=40, seed=8), *make_texts(3, words=40)]
    parts = [NearIndex.of(ours[start:stop], NearSpec()) for start, stop in ((0, 7), (7, 7), (7, len(ours)))]
    whole = NearIndex.of(ours, NearSpec())
    joined = parts[0].join(parts[1]).join(parts[2])
    texts = [*ours[::3], "", *(text.replace(" a", " c", 1) for text in ours)]
    found = [(match.row, match.other % 31, match.jaccard) for match in whole.match(texts)]
    numbers = np.concatenate([part.rows + start for part, start in zip(parts, (0, 7, 7), strict=True)])
    assert numbers.tolist() == list(range(len(ours)))
    assert [(match.row, match.jaccard) for match in joined.match(texts)] == [(m[0], m[2]) for m in found]
    assert len(found) > len(ours)


@given(
    ours=st.lists(st.integers(0, 5), max_size=12),
    asked=st.lists(st.integers(0, 7), max_size=12),
    at_once=st.integers(1, 5),
)
def test_hashes_are_found_in_parts_of_any_size(ours: list[int], asked: list[int], at_once: int) -> None:
    hashes = np.array(ours, dtype=np.uint64)
    half = len(ours) // 2
    table = HashTable(hashes[:half], np.arange(half)).join(
        HashTable(hashes[half:], np.arange(len(ours) - half)), half
    )
    wanted = np.array(asked, dtype=np.uint64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("multifaceted.similar.table.FOUND_AT_ONCE", at_once)
        parts = list(table.find_in_parts(wanted))
    expected = [(n, m) for n, one in enumerate(asked) for m, other in enumerate(ours) if one == other]
    assert [
        pair for part in parts for pair in zip(*(side.tolist() for side in part), strict=True)
    ] == expected
    assert list(zip(*(side.tolist() for side in table.find(wanted)), strict=True)) == expected
    assert table.find_here(wanted).tolist() == sorted({n for n, _ in expected})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C#"),
        ("C", "C++"),
        ("C++", "C#"),
        ("F", "F#"),
        ("Notepad", "Notepad++"),
    ],
)
def test_names_that_end_in_a_sign_are_other_names(one: str, other: str) -> None:
    for prompt in (
        "Write a function that reverses a string in {}.",
        "Explain, as to a student who has programmed for no more than a month, how memory is managed in {}.",
    ):
        texts = [prompt.format(one), prompt.format(other), prompt.format(one).upper() + "!"]
        assert [(match.row, match.kept) for match in find_near_duplicates(texts, NearSpec()).matches] == [
            (2, 0)
        ]
    assert split_words(f"in {other}, 3+4, a+b, 18+, # x #y C+++", signs=False) == [
        *("in", other.lower(), "3", "4", "a", "b", "18", "x", "y", "c++"),
    ]
