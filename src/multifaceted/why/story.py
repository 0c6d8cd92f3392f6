"""The story of one row: instruction, turns, what came of them, verdict, and where it is published."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from multifaceted.building.choice import Choice
from multifaceted.building.source import RunSource, open_run
from multifaceted.curation.secrets import mask_nested
from multifaceted.errors import MultifacetedError
from multifaceted.store.curation import curation_folder, describe_curation, find_curation_faults, read_record
from multifaceted.store.manifest import RunData, read_manifest, read_run
from multifaceted.store.run_folder import RunFolder
from multifaceted.why.find import FoundRow, find_row
from multifaceted.why.reasons import add_reasons
from multifaceted.why.replies import RowRequests, SentRequest, read_asked, read_judged

_TEXTS = ("preference_set", "system", "output")


@dataclass(repr=False)
class Story:
    """Everything that is known of one row. Texts that look like a secret are blotted out."""

    id: str
    shard: str
    outcome: str  # ok, failed or pending
    waiting: str | None  # of a pending row, the stage whose reply comes next; "" where all replies are there
    instruction: dict[str, Any]
    sampled: list[str]  # ids of the sampled preferences
    turns: list[dict[str, Any]]  # requests in order, those of judges last, with prompt and replies
    made: dict[str, Any] | None  # preference set, system message and response
    provenance: dict[str, Any] | None
    failure: dict[str, Any] | None
    spent: dict[str, Any]  # replies, tokens and USD of all turns
    curation: dict[str, Any] | None  # None: the run was never curated
    published: dict[str, Any] | None  # configs, and the pair it is part of
    remarks: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        kind = f" ({self.failure['kind']} in stage {self.failure['stage']})" if self.failure else ""
        verdict = f", curation: {self.curation.get('verdict', 'none')}" if self.curation else ""
        return f"<row {self.id}: {self.outcome}{kind}, {self.spent['replies']} replies{verdict}>"

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        masked: dict[str, Any] = mask_nested(asdict(self))
        return masked


def tell_story(run: Path, row_id: str, *, recipe: Path | None = None) -> Story:
    """Tell all that a run knows of one row, whether or not the run is finished.

    Args:
        run: the run folder.
        row_id: of a row that is finished, failed, dropped, or not done yet.
        recipe: where the recipe is now; None: where it was when the run last started.

    Raises:
        InputError: where no row has the id.
        StorageError: where the run cannot be read.
    """
    folder = RunFolder(run)
    data = read_run(folder)
    search = find_row(folder, data, row_id)
    found, shards = search.found, [search.found.shard] if search.found else search.unfinished
    asked = read_asked(folder, shards, row_id, keys=_keys_of(found, data), recipe=recipe)
    if asked.shard is None:
        raise search.refuse(folder, row_id)
    found = found or FoundRow(asked.shard)
    if found.is_former:
        asked.remarks.append("this is the row of a former recipe: the run has not come to it again")
    judged = read_judged(folder, data.seed, found.row) if found.row else RowRequests([])
    turns = [*asked.turns, *judged.turns]
    asked.remarks += judged.remarks
    curation = _read_verdict(folder, row_id) if found.row else None
    if curation and curation.get("scores"):
        curation["scores"] = add_reasons(curation["scores"], judged.turns)
    return Story(
        id=row_id,
        shard=found.shard,
        outcome=found.outcome,
        waiting=asked.waiting if found.outcome == "pending" else None,
        instruction=_describe_instruction(found, asked),
        sampled=_sampled_of(found, asked),
        turns=[asdict(turn) for turn in turns],
        made=_list_made(found.row, data) if found.row else None,
        provenance=_list_records(found.row, data) if found.row else None,
        failure=asdict(found.failure) if found.failure else None,
        spent=_sum_up(turns),
        curation=curation,
        published=_find_published(folder, found, asked.remarks) if found.row else None,
        remarks=asked.remarks,
    )


def _keys_of(found: FoundRow | None, data: RunData) -> list[str]:
    if found is None:
        return []
    if found.failure is not None:
        return [found.failure.request_key]
    records = _list_records(found.row, data).values() if found.row else ()
    asked = [part for record in records for part in (record if isinstance(record, list) else [record])]
    return [record["request_key"] for record in asked]


def _list_made(row: dict[str, Any], data: RunData) -> dict[str, Any]:
    """Return what the stages of a row made."""
    names = [*_TEXTS, *(column.name for column in data.added)]
    return {name: row[name] for name in names if name in row}


def _list_records(row: dict[str, Any], data: RunData) -> dict[str, Any]:
    """Return how each stage of a row was made."""
    # A shard that the run has not come to again may hold rows of a former recipe.
    return {stage: row[column] for stage, column in data.stages.items() if column in row}


def _describe_instruction(found: FoundRow, asked: RowRequests) -> dict[str, Any]:
    if found.row is not None:
        names = {"instruction_id": "id", "prompt": "prompt", "main_source": "source"}
        return {
            **{new: found.row[old] for old, new in names.items()},
            "original_source": found.row["original_source"],
            "variant": found.row["variant"],
        }
    if asked.task is not None:
        fields = ("id", "prompt", "source", "original_source")
        told = {name: getattr(asked.task.instruction, name) for name in fields}
        return {**told, "variant": asked.task.variant}
    return {}


def _sampled_of(found: FoundRow, asked: RowRequests) -> list[str]:
    if found.row is not None:
        return list(found.row["seed_preferences"])
    return list(asked.task.sampled.ids) if asked.task else []


def _sum_up(turns: list[SentRequest]) -> dict[str, Any]:
    replies = [reply for turn in turns for reply in turn.replies]
    return {
        "replies": len(replies),
        "prompt_tokens": sum(reply["prompt_tokens"] for reply in replies),
        "completion_tokens": sum(reply["completion_tokens"] for reply in replies),
        "usd": sum(reply["usd"] or 0.0 for reply in replies),
        "unpriced": sum(reply["usd"] is None for reply in replies),
    }


def _read_verdict(folder: RunFolder, row_id: str) -> dict[str, Any] | None:
    about = describe_curation(folder, read_manifest(folder))
    if about is None:
        return None
    record = read_record(curation_folder(folder)).filter(pl.col("id") == row_id)
    verdict = record.row(0, named=True) if record.height else {}
    return {"stale": about["stale"], **{key: value for key, value in verdict.items() if key != "id"}}


def _find_published(folder: RunFolder, found: FoundRow, remarks: list[str]) -> dict[str, Any] | None:
    """What `build` makes of the row; the choice of pairs is over the whole run, and the same each time."""
    data = read_manifest(folder)
    if data is None or found.row is None:
        remarks.append("the run is not finished, so nothing of it is published yet")
        return None
    if find_curation_faults(folder, data):
        remarks.append("the curation is stale or damaged, so what would be published is not known")
        return None
    try:
        return _tell_published(open_run(folder.path, verified=False), found.row)
    except MultifacetedError as error:
        remarks.append(f"what is published cannot be told: {error.message}")
        return None


def _tell_published(source: RunSource, row: dict[str, Any]) -> dict[str, Any]:
    row_id, choice = row["id"], source.choice
    held = {"all", "one"} if row_id in choice.small else {"all"}
    configs = [name for name, config in source.configs.items() if config.rows in held]
    pair = _find_pair(choice, row_id)
    reasons = [why for why, ids in choice.left_out.items() if row["instruction_id"] in ids]
    no_pair = reasons[0] if reasons else "other variants were chosen"
    pairs_are_made = any(config.rows == "pairs" for config in source.configs.values())
    return {"configs": configs, "pair": pair, "no_pair": no_pair if pairs_are_made and not pair else None}


def _find_pair(choice: Choice, row_id: str) -> dict[str, Any] | None:
    partners = {rejected: chosen for chosen, rejected in choice.rejected.items()}
    chosen = row_id if row_id in choice.rejected else partners.get(row_id)
    if chosen is None:
        return None
    is_chosen = chosen == row_id
    return {
        "as": "chosen" if is_chosen else "rejected",
        "partner": choice.rejected[chosen] if is_chosen else chosen,
        "split": "test" if chosen in choice.test else "train",
    }
