"""The rows that the page shows: whole instructions, chosen by seed, each row with its story.

A page of all 196,998 rows would be a gigabyte; `multifaceted why` tells of any one of them.
"""

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from multifaceted.building.source import RowSource
from multifaceted.reporting.diversity import choose_ids
from multifaceted.reporting.rows import read_frames


def pick_rows(source: RowSource, count: int) -> list[dict[str, Any]]:
    """About `count` rows, all variants of each instruction, in the order of the run."""
    variants = max(1, source.run.variants)
    names = (name for frame in read_frames(source) for name in frame["instruction_id"].unique())
    wanted = sorted(choose_ids(names, -(-count // variants), source.run.seed))
    chosen_by = {rejected: chosen for chosen, rejected in source.choice.rejected.items()}
    added = [column.name for column in source.run.added]
    return [
        _tell(row, source, chosen_by)
        for frame in read_frames(source, further=added)
        for row in frame.filter(pl.col("instruction_id").is_in(wanted)).iter_rows(named=True)
    ]


def _tell(row: dict[str, Any], source: RowSource, chosen_by: dict[str, str]) -> dict[str, Any]:
    row_id = row["id"]
    return {
        "id": row_id,
        "source": row["main_source"],
        "origin": row["original_source"],
        "prompt": row["prompt"],
        "system": row["system"],
        "output": row["output"],
        "preferences": row["preference_set"],
        "added": [_tell_added(column.name, row[column.name]) for column in source.run.added],
        "rejected": source.choice.rejected.get(row_id, ""),  # this row is chosen, that one rejected
        "chosen": chosen_by.get(row_id, ""),  # the other way round
        "split": "test" if row_id in source.choice.test else "train",
        "small": row_id in source.choice.small,
        "stages": [
            line for stage, column in source.run.stages.items() for line in _tell_stage(stage, row[column])
        ],
    }


def _tell_added(name: str, value: Any) -> dict[str, str]:
    """Return a column that the recipe adds, as text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return {"name": name, "text": text}


def _tell_stage(stage: str, asked: dict[str, Any] | list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for record in asked if isinstance(asked, list) else [asked]:
        yield {
            "stage": stage,
            "model": record["model"],
            "prompt": record["tokens"]["prompt"],
            "completion": record["tokens"]["completion"],
            "template": record["template"][:12],
            "key": record["request_key"][:12],
        }
