"""The `judge` part of a curation recipe, and what scores mean for a row."""

from pathlib import Path
from typing import Any, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from multifaceted.curation.agreement import share_equal, weigh_kappa
from multifaceted.curation.rows import FINDINGS
from multifaceted.models import Model, ModelSpec
from multifaceted.models.fields import Number
from multifaceted.models.sending import SendingSpec
from multifaceted.store.curation import SCORE

LOW_SCORE, UNJUDGED = "low_score", "unjudged"
Scores = dict[int, dict[str, dict[str, int]]]  # position → judge → dimension → score


class JudgeSpec(SendingSpec):
    """Who scores how well the response of a row honors each of its preferences."""

    models: tuple[ModelSpec, ...] = Field(min_length=1, max_length=5)
    threshold: Number = Field(default=3, ge=1, le=5)  # of each preference, on the mean of all judges
    action: Literal["drop", "note"] = "drop"
    template: Path | None = None  # in place of the shipped `judge.j2`
    concurrency: int = Field(default=16, ge=1, le=4096)  # requests in flight at each endpoint

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        self.check_mode(self.models)
        return self

    @property
    def judges(self) -> dict[str, Model]:
        """Return the model of each judge."""
        return dict(zip(self.labels, self.models, strict=True))

    @property
    def labels(self) -> list[str]:
        """Return a name for each judge; a model that judges twice gets a number."""
        names = [model.label for model in self.models]
        return [
            name if names.count(name) == 1 else f"{name} #{names[: i + 1].count(name)}"
            for i, name in enumerate(names)
        ]

    @property
    def described(self) -> dict[str, Any]:
        """Return what verdicts depend on."""
        judges = [{"model": label, **model.counted} for label, model in self.judges.items()]
        return {"models": judges, "threshold": self.threshold, "action": self.action}

    def rebase(self, base: Path) -> "JudgeSpec":
        """The paths in it are written from the recipe's folder; make them good from the present one."""
        models = tuple(model.rebase(base) for model in self.models)
        template = base / self.template if self.template else None
        return self.model_copy(update={"models": models, "template": template})


def name_asker(judge: str) -> str:
    """Return the label under which a judge asks."""
    return f"judge {judge}"


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


def note_unjudged(unjudged: dict[int, str]) -> pl.DataFrame:
    """Findings, to note only, for the rows that a judge gave no usable score."""
    rows = [(p, UNJUDGED, "note", None, None, why) for p, why in sorted(unjudged.items())]
    return pl.DataFrame(rows, schema=FINDINGS, orient="row")


def list_scores(scores: Scores) -> pl.DataFrame:
    """`position` and `scores`, as the record has them."""
    rows = [
        (p, [{"judge": j, "dimension": d, "score": s} for j, by in found.items() for d, s in by.items()])
        for p, found in sorted(scores.items())
    ]
    return pl.DataFrame(rows, schema={"position": pl.UInt32, "scores": pl.List(SCORE)}, orient="row")


def sum_up_scores(scores: Scores, unjudged: dict[int, str], spec: JudgeSpec) -> dict[str, Any]:
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
    return {"judged": len(scores), "unjudged": len(unjudged), "means": means, "agreement": agreement}


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


def _mean_by_dimension(by_judge: dict[str, dict[str, int]]) -> dict[str, float]:
    given: dict[str, list[int]] = {}
    for scores in by_judge.values():
        for name, score in scores.items():
            given.setdefault(name, []).append(score)
    return {name: sum(values) / len(values) for name, values in given.items()}
