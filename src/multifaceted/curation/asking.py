"""What models say of the rows that filters leave: first the questions of a recipe, then its judges.

Example:
    asked = ask_models(frames, findings, curation, seed=7, folder=path)
    asked.findings, asked.scores, asked.judges, asked.questions
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from multifaceted.curation.judge_spec import (
    UNJUDGED,
    find_fitting,
    find_low,
    list_scores,
    note_unjudged,
    sum_up_scores,
)
from multifaceted.curation.questions import UNANSWERED, find_yes, note_unanswered
from multifaceted.curation.recipe import Curation
from multifaceted.ids import hash_file
from multifaceted.journal import set_aside_asked
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.curation import DROP, JUDGES, RECORD, RETRY, lock_curation, read_record

if TYPE_CHECKING:
    from multifaceted.curation.judging import Verdicts, WatchRun

Row = dict[str, Any]
Frames = Callable[[], Iterator[pl.DataFrame]]


@dataclass
class Asked:
    """All findings, scores by row, and what was said in numbers."""

    findings: pl.DataFrame
    scores: pl.DataFrame | None = None
    judges: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, Any] = field(default_factory=dict)


def ask_models(
    frames: Frames,
    findings: pl.DataFrame,
    curation: Curation,
    *,
    seed: int,
    folder: Path,
    watch: "WatchRun | None" = None,
) -> Asked:
    """Put the rows that are left to the models of a recipe; a row that one drops no other is asked about.

    Args:
        frames: gives all rows of the run, with their `position`, in frames that hold whole instructions.
        findings: what filters found.
        curation: the questions and the judges.
        seed: of the run.
        folder: where replies are kept.
        watch: shows their progress to people.

    Raises:
        MultifacetedError: what stopped them; what they said so far is kept, and paid for once.
    """
    # They bring the SDK, which filters do not need.
    from multifaceted.curation.judging import RowsToJudge, judge_rows  # noqa: PLC0415

    asked = Asked(findings)

    def ask(rows: RowsToJudge, count: int) -> "Verdicts":
        with lock_curation(folder):
            return asyncio.run(judge_rows(rows, count, watch=watch or nullcontext))

    for question in curation.questions:
        left = _Left(frames, asked.findings)
        rows = RowsToJudge(question.spec, question.prompt, seed, folder, left.read)
        found = ask(rows, left.count())
        yes = find_yes(found.scores, question.spec)
        asked.findings = _join(asked.findings, yes, note_unanswered(found.unjudged, question.spec))
        said = {"template": question.prompt.hash, "answered": len(found.scores), "yes": yes.height}
        said["unanswered"] = len(found.unjudged)
        asked.questions[question.spec.name] = question.spec.described | said
    if curation.judge is not None:
        spec, prompt = curation.judge.spec, curation.judge.prompt
        left = _Left(frames, asked.findings, siblings=spec.pairs is not None)
        found = ask(RowsToJudge(spec, prompt, seed, folder, left.read), left.count())
        fitting = find_fitting(found.of_siblings, found.scores, spec)
        low, unjudged = find_low(found.scores, spec), note_unjudged(found.unjudged)
        asked.findings = _join(asked.findings, low, fitting, unjudged)
        asked.scores = list_scores(found.scores)
        asked.judges = {**spec.described, "template": prompt.hash}
        asked.judges |= sum_up_scores(found.scores, len(found.unjudged), spec)
        if spec.pairs:
            asked.judges |= {"siblings": len(found.of_siblings), "fitting": fitting.height}
    return asked


def order_again(folder: Path, curation: Curation) -> None:
    """Let models be asked again about the rows of the last record of which they said nothing.

    A retry that was interrupted goes on: what they have said by now is not asked for once more.
    """
    if not (folder / RECORD).exists():
        return
    record = hash_file(folder / RECORD)
    if read_json(folder / RETRY) == record:
        return
    missing: list[tuple[str, str]] = []
    for row_id, findings, scores in read_record(folder).select("id", "findings", "scores").iter_rows():
        given = {score["judge"] for score in scores}
        for finding in findings:
            missing += _list_missing(row_id, finding, given, curation)
    with lock_curation(folder):
        set_aside_asked(folder / JUDGES, missing)
        write_json(folder / RETRY, record)


def _list_missing(
    row_id: str, finding: dict[str, Any], given: set[str], curation: Curation
) -> Iterator[tuple[str, str]]:
    """Yield the row and the label of what was asked in vain, by a finding that says so."""
    from multifaceted.curation.judging import name_asked  # noqa: PLC0415 - as above

    said, sibling = finding["detail"] or "", finding["partner"]
    if finding["reason"] == UNJUDGED and curation.judge:
        judge = curation.judge.spec
        for name in judge.asked:
            if said.startswith(f"{name}: ") if sibling else name not in given:
                yield name_asked(row_id, sibling), judge.name_asker(name)
    for spec, _ in curation.questions if finding["reason"] == UNANSWERED else ():
        for name in spec.asked:
            if said.startswith(f"{spec.name}: {name}: "):
                yield row_id, spec.name_asker(name)


@dataclass(frozen=True)
class _Left:
    """The rows that nothing has dropped; with `siblings` each with the responses of its siblings too."""

    frames: Frames
    findings: pl.DataFrame
    siblings: bool = False

    def read(self) -> Iterator[Row]:
        for frame in self._keep():
            rows = frame.iter_rows(named=True)
            yield from _pair_up(rows) if self.siblings else rows

    def _keep(self) -> Iterator[pl.DataFrame]:
        dropped = self.findings.filter(pl.col("action") == DROP)["position"].unique().implode()
        return (frame.filter(~pl.col("position").is_in(dropped)) for frame in self.frames())

    def count(self) -> int:
        if self.siblings:
            return sum(1 for _ in self.read())
        return sum(rows.height for rows in self._keep())


def _pair_up(rows: Iterator[Row]) -> Iterator[Row]:
    for _, members in groupby(rows, key=itemgetter("instruction_id")):
        variants = list(members)
        for row in variants:
            yield row
            for other in variants:
                if other["output"] != row["output"] and other["system"] != row["system"]:
                    yield {**row, "output": other["output"], "sibling": other["id"]}


def _join(*findings: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(findings).sort("position", maintain_order=True)
