"""Pairs of real prompts whose words are nearly the same, and whether they ask for the same thing."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cache

from cases import Case, CaseSet, read_labels
from repositories import list_files, read

from multifaceted.similar.task import asks_the_same

_T0 = "data/finetuning/t0_train_50k/data_per_template"  # prompts of P3, in 294 templates


@cache
def read_prompts() -> dict[str, str]:
    """Read 52,020 prompts, each by the beginning of its SHA-256."""
    texts: dict[str, str] = {}
    for path in filter(None, list_files("yizhongw/self-instruct", _T0)):
        for line in read("yizhongw/self-instruct", path).splitlines():
            text = json.loads(line)["prompt"]
            texts[hashlib.sha256(text.encode()).hexdigest()[:16]] = text
    return texts


def make_pairs() -> Iterator[Case]:
    """70 of 22,746 pairs with a Jaccard of 0.8 and more, drawn blindly; faulty: one answer serves both."""
    texts = read_prompts()
    for row in read_labels("near_duplicate"):
        yield Case(texts[row["kept"]], row["label"] == "1", texts[row["row"]], half="report")


def find_same(cases: Sequence[Case]) -> list[bool]:
    """Tell of each pair whether `instructions prepare` would keep only one."""
    return [asks_the_same(case.output, case.prompt) for case in cases]


def is_near(case: Case) -> bool:
    """Return True: Jaccard alone calls all of them duplicates."""
    return bool(case.prompt)


SETS = (
    CaseSet("P3's templates, 70 pairs", ("near_duplicate",), "read by us", make_pairs, is_near, find_same),
)
