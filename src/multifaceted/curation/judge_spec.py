"""The `judge` part of a curation recipe, and what scores mean for a row."""

from collections.abc import Mapping
from typing import Any

import polars as pl
from pydantic import Field

from multifaceted.curation.agreement import share_equal, weigh_kappa
from multifaceted.curation.asked_spec import AskedSpec
from multifaceted.curation.rows import FINDINGS
from multifaceted.models.fields import Number
from multifaceted.store.curation import REJECTED_FITS, SCORE
from multifaceted.strictmodel import StrictModel

LOW_SCORE, UNJUDGED = "low_score", "unjudged"
Scores = dict[int, dict[str, dict[str, int]]]  # position → judge → dimension → score
Against = tuple[int, str]  # position of a row, and the id of the sibling whose response was judged for it
PairScores = dict[Against, dict[str, dict[str, int]]]


class PairSpec(StrictModel):
    """When the response to another system message serves a row's reader nearly as well as its own.

    Then it is nothing to reject: the pair would teach a model to dislike what was wanted.
    """

    fits: Number = Field(default=4, ge=1, le=5)  # each preference scores at least so much, on the mean
    margin: Number = Field(default=0.5, ge=0, le=4)  # or the row's own mean is not above by as much


class JudgeSpec(AskedSpec):
    """Who scores how well the response of a row honors each of its preferences."""

    threshold: Number = Field(default=3, ge=1, le=5)  # of each preference, on the mean of all judges
    pairs: PairSpec | None = None  # judge the responses of its siblings by a row's preferences too

    @property
    def described(self) -> dict[str, Any]:
        """Return what verdicts depend on."""
        pairs = {"pairs": self.pairs.model_dump()} if self.pairs else {}
        return {**super().described, "threshold": self.threshold, **pairs}


def find_low(scores: Scores, spec: JudgeSpec) -> pl.DataFrame:
    """Findings for the rows with a preference that scores below the threshold."""
    found = []
    for position, by_judge in scores.items():
        means = _mean_by_dimension(by_judge)
        low = {name: mean for name, mean in means.items() if mean < spec.threshold}
        if low:
            detail = ", ".join(f"{name} {mean:.2g}" for name, mean in low.items())
            found.append((position, LOW_SCORE, spec.action, min(low.values()), None, detail))
    return pl.DataFrame(sorted(found), schema=FINDINGS, orient="row")


def find_fitting(scores: PairScores, own: Scores, spec: JudgeSpec) -> pl.DataFrame:
    """Findings, to note only, for the rows whose sibling's response would serve their reader as well."""
    pairs, found = spec.pairs or PairSpec(), []  # without `pairs` no sibling was judged
    for (position, sibling), by_judge in scores.items():
        means = _mean_by_dimension(by_judge)
        other, mine = _mean(means), _mean(_mean_by_dimension(own.get(position, {})))
        if other is None or mine is None:
            continue
        if min(means.values()) >= pairs.fits or mine - other < pairs.margin:
            detail = f"by this row's preferences it scores {other:.2g}, the row's own response {mine:.2g}"
            found.append((position, REJECTED_FITS, "note", mine - other, sibling, detail))
    return pl.DataFrame(sorted(found), schema=FINDINGS, orient="row")


def note_unjudged(unjudged: Mapping[int | Against, list[str]]) -> pl.DataFrame:
    """Findings, to note only, for the rows that a judge gave no usable score."""
    rows = [
        (*(key if isinstance(key, tuple) else (key, None)), fault)
        for key, faults in unjudged.items()
        for fault in faults
    ]
    found = [(p, UNJUDGED, "note", None, sibling, fault) for p, sibling, fault in sorted(rows, key=str)]
    return pl.DataFrame(found, schema=FINDINGS, orient="row")


def list_scores(scores: Scores) -> pl.DataFrame:
    """`position` and `scores`, as the record has them."""
    rows = [
        (p, [{"judge": j, "dimension": d, "score": s} for j, by in found.items() for d, s in by.items()])
        for p, found in sorted(scores.items())
    ]
    return pl.DataFrame(rows, schema={"position": pl.UInt32, "scores": pl.List(SCORE)}, orient="row")


def sum_up_scores(scores: Scores, unjudged: int, spec: JudgeSpec) -> dict[str, Any]:
    """What judges said, in numbers: means by judge and dimension, and how far each two of them agree."""
    means: dict[str, dict[str, float]] = {}
    for label in spec.labels:
        given = [by_judge[label] for by_judge in scores.values() if label in by_judge]
        names = dict.fromkeys(name for found in given for name in found)
        means[label] = {
            name: round(sum(values) / len(values), 4)
            for name in names
            if (values := [found[name] for found in given if name in found])
        }
    agreement = [
        {"judges": [one, other], **_agree(scores, one, other)}
        for index, one in enumerate(spec.labels)
        for other in spec.labels[index + 1 :]
    ]
    return {"judged": len(scores), "unjudged": unjudged, "means": means, "agreement": agreement}


def _agree(scores: Scores, one: str, other: str) -> dict[str, Any]:
    pairs = [
        (score, by_judge[other][name])
        for by_judge in scores.values()
        if one in by_judge and other in by_judge
        for name, score in by_judge[one].items()
        if name in by_judge[other]
    ]
    kappa, equal = weigh_kappa(pairs), share_equal(pairs)
    return {
        "scores": len(pairs),
        "kappa": None if kappa is None else round(kappa, 4),
        "equal": None if equal is None else round(equal, 4),
    }


def _mean(means: dict[str, float]) -> float | None:
    return sum(means.values()) / len(means) if means else None


def _mean_by_dimension(by_judge: dict[str, dict[str, int]]) -> dict[str, float]:
    given: dict[str, list[int]] = {}
    for scores in by_judge.values():
        for name, score in scores.items():
            given.setdefault(name, []).append(score)
    return {name: sum(values) / len(values) for name, values in given.items()}
