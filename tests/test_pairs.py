"""Filters of preference pairs, over frames of anybody's."""

from typing import Any

import polars as pl
import pytest

import multifaceted as mf
from multifaceted.errors import InputError

LONG = "The tide follows the moon, and so the harbour fills twice a day. " * 5
PAIRS: list[dict[str, Any]] = [
    {
        "chosen": LONG,
        "rejected": "It is the moon's doing, as sailors have known for long." * 3,
        "scores": (8, 5),
    },
    {"chosen": LONG, "rejected": LONG, "scores": (8, 8)},
    {"chosen": LONG + "Yes.", "rejected": LONG + "No.", "scores": (8, 9)},
    {"chosen": LONG, "rejected": "The moon.", "scores": (8, None)},
]


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "prompt": ["Why are there tides?"] * len(PAIRS),
            "chosen": [pair["chosen"] for pair in PAIRS],
            "rejected": [pair["rejected"] for pair in PAIRS],
            "score_chosen": [pair["scores"][0] for pair in PAIRS],
            "score_rejected": [pair["scores"][1] for pair in PAIRS],
        },
        strict=False,
    )


def test_pairs_that_teach_nothing_are_found(frame: pl.DataFrame) -> None:
    found = mf.find(frame, ["pair_alike", "pair_length", "pair_scores"])
    assert sorted(zip(found["position"], found["reason"], found["action"], strict=True)) == [
        (1, "pair_alike", "drop"),
        (1, "pair_scores", "drop"),
        (2, "pair_alike", "drop"),
        (2, "pair_scores", "drop"),
        (3, "pair_length", "note"),
    ]


def test_a_margin_may_be_asked_for(frame: pl.DataFrame) -> None:
    from multifaceted.curation.pairs import PairScoresFilter

    assert mf.find(frame, [PairScoresFilter(margin=4)])["position"].to_list() == [0, 1, 2]


def test_turns_are_read_as_well_as_text(frame: pl.DataFrame) -> None:
    turns = frame.with_columns(
        pl.concat_list(
            pl.struct(role=pl.lit("user"), content=pl.col("prompt")),
            pl.struct(role=pl.lit("assistant"), content=pl.col(name)),
        ).alias(name)
        for name in ("chosen", "rejected")
    )
    names = ["pair_alike", "pair_length"]
    assert mf.find(turns, names).equals(mf.find(frame, names))


def test_rows_without_pairs_are_not_asked_for_any() -> None:
    rows = [{"prompt": "Why?", "output": "As an AI, I cannot say."}]
    assert "pair_alike" not in mf.find(rows)["reason"].to_list()
    with pytest.raises(InputError, match="filter pair_alike: needs a column 'chosen'"):
        mf.find(rows, ["pair_alike"])


def test_lists_that_are_no_turns_are_told_of_and_scores_may_be_text() -> None:
    with pytest.raises(InputError, match="'rejected' holds lists that are no turns"):
        mf.find([{"prompt": "Why?", "chosen": "Because.", "rejected": ["So."]}])
    scored = [{"prompt": "Why?", "chosen": "A", "rejected": "B", "score_chosen": "8", "score_rejected": "10"}]
    assert mf.find(scored, ["pair_scores"]).height == 1
