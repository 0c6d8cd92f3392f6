"""Some rows with a reason, to judge by eye whether it is just: `read_examples(run, folder, "refusal", 5)`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from multifaceted.curation.rows import read_frames
from multifaceted.curation.secrets import mask_secrets
from multifaceted.errors import StorageError
from multifaceted.ids import rank_digest
from multifaceted.store.curation import curate_again, read_curation, read_record
from multifaceted.store.manifest import read_whole_run
from multifaceted.store.run_folder import RunFolder

TEXTS = ("system", "prompt", "output")


@dataclass
class Example:
    """A row with what was found. What looks like a secret is blotted out."""

    id: str
    verdict: str
    findings: list[dict[str, Any]]
    texts: dict[str, str] = field(default_factory=dict)


def read_examples(run: Path, curation_path: Path, reason: str, limit: int) -> list[Example]:
    """Return rows with a reason, drawn from all over the run and the same each time, in the order of the run.

    Raises:
        StorageError: where the record there is of other rows.
    """
    folder = RunFolder(run)
    data, curation = read_whole_run(folder), read_curation(curation_path)
    fault = curation.find_fault(data) if curation else "there is none"
    if fault:
        hint = f"run: {curate_again(folder)}"
        raise StorageError(f"the curation in {curation_path} cannot be shown: {fault}", hint=hint)
    record = read_record(curation_path).with_row_index("position")
    found = record.filter(pl.col("findings").list.eval(pl.element().struct["reason"] == reason).list.any())
    digest = rank_digest(f"example {data.seed}")
    drawn = sorted(found.iter_rows(named=True), key=lambda row: digest(row["id"]))[:limit]
    drawn.sort(key=lambda row: int(row["position"]))
    wanted = [row["position"] for row in drawn]
    texts: dict[int, dict[str, str]] = {}
    for frame in read_frames(folder.rows_file(summary.name) for summary in data.summaries):
        rows = frame.filter(pl.col("position").is_in(wanted))
        for row in rows.iter_rows(named=True):
            texts[row["position"]] = {name: mask_secrets(row[name]) for name in TEXTS}
        if len(texts) == len(wanted):
            break
    return [Example(row["id"], row["verdict"], row["findings"], texts[row["position"]]) for row in drawn]
