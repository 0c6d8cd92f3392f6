"""Whether two prompts that share nearly all words ask for the same thing.

Example:
    asks_the_same("Hi, can you name the river? …", "Hey, can you name the river? …")    # True
    asks_the_same("… Who crossed the river first?", "… What was lost in the fire?")     # False

Two questions on one passage, or one form with another name or number in it, share nearly all of their words
too. What tells them apart is the words that only one of them has. Where those are words that any request is
wrapped in, or the same word in another form, the two are one.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher

import numpy as np

from multifaceted.similar.clusters import Measure
from multifaceted.similar.words import fold

# Function words, and those that requests are wrapped in, of English; others count as what is asked for.
_WORDS = (
    "a an the this that these those it its i me my you your we our us he she they them his her their one "
    "some any each all both is are was were be been being am do does did doing done have has had can could "
    "may might will would shall should must of to in on at by for from with about into onto as than then and "
    "or but if so because while there here also just only very too please kindly hi hey hello thanks thank "
    "now next below above following given give provide write create make generate produce compose develop "
    "design build construct craft prepare come up tell say show let help need want like know read see find "
    "look use using used based according pick choose select decide determine identify extract get answer "
    "answers question questions query ask asked response reply solution correct correctly best right text "
    "passage paragraph article document sentence context information background situation input output task "
    "prompt instruction example option options possible s t d m ll re ve out off down what which "
    "how friend friends someone something thing things way complete sure able trying try "
    "summarize summarise summary sum brief dialogue conversation news yes"
)
_WRAPPING = frozenset(_WORDS.split())
# Of Chinese and Japanese characters the commonest that only join others.
_JOINING = frozenset("的了吗呢吧啊请一个下面以下是在和与或于有这那您你我们给把被の をにはがでとも")
_TOKEN = re.compile(
    r"\d+(?:[.,:/]\d+)*|[^\W\d_\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]+[#+]*|[^\W_]"
)
_ALIKE = 0.8  # of the letters: a word and its plural, or a slip
_CHANGED = 20  # words in other forms; two prompts with more are told apart without comparing each with each
_COMPARED = 64


def asks_the_same(one: str, other: str) -> bool:
    """Return whether no word that only one of two near duplicates has changes what is asked for."""
    return _are_same(count_words(one), count_words(other))


def count_words(text: str) -> Counter[str]:
    """Count the words that carry what is asked for: a question is made of words that its passage has too."""
    return Counter(word for word in _TOKEN.findall(fold(text)) if _carries(word))


def choose_tasks(
    clusters: list[list[int]], read: Callable[[int], str], measure: Measure, threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Go through each cluster in order and keep what asks for something that no kept row of it asks for.

    Of a cluster of thousands, which is one form filled in again and again, each row is compared with those of
    the same words and with `_COMPARED` others.

    Args:
        clusters: of rows that are near duplicates, or chains of them.
        read: gives a row's text.
        measure: true Jaccard of pairs of rows.
        threshold: the least Jaccard.

    Yields:
        (row, kept, jaccard) for each row that is not kept, and the first kept row that it is like.
    """
    for cluster in clusters:
        same: dict[frozenset[tuple[str, int]], int] = {}
        kept: list[tuple[int, int, Counter[str]]] = []
        for row in cluster:
            words = count_words(read(row))
            key, size = frozenset(words.items()), words.total()
            twins = [same[key]] if key in same else []
            twins += [
                head
                for head, length, counted in kept
                if head not in twins and size == length and _are_same(words, counted)
            ]
            jaccards = _measure_one(row, twins, measure)
            near = next(((twin, j) for twin, j in zip(twins, jaccards, strict=True) if j >= threshold), None)
            if near is not None:
                yield row, *near
            else:
                same.setdefault(key, row)
                if len(kept) < _COMPARED:
                    kept.append((row, size, words))


def _measure_one(row: int, others: list[int], measure: Measure) -> list[float]:
    if not others:
        return []
    return [float(jaccard) for jaccard in measure(np.full(len(others), row), np.array(others))]


def _are_same(ones: Counter[str], others: Counter[str]) -> bool:
    left, right = list((ones - others).elements()), list((others - ones).elements())
    if len(left) != len(right) or len(left) > _CHANGED:
        return False
    for word in left:
        twin = next((other for other in right if _is_form(word, other)), None)
        if twin is None:
            return False
        right.remove(twin)
    return True


def _carries(word: str) -> bool:
    return word not in _WRAPPING and word not in _JOINING


def _is_form(one: str, other: str) -> bool:
    if one[0] != other[0] or one[0].isdigit():
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() > _ALIKE
