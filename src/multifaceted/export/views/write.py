"""Writing a view: rows as Parquet, one file for each split, and the files beside them; whole or not at all.

DIR/
├── data/train.parquet
├── data/test.parquet     for reward models, where there are enough pairs
├── train.yaml            or train.sh
└── README.md             how to start
"""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from multifaceted.errors import StorageError
from multifaceted.export.source import Source, open_source
from multifaceted.export.views.render import render_files
from multifaceted.export.views.table import find_view
from multifaceted.export.views.view import Task, Trainer, View
from multifaceted.store.atomic import replaced_folder, sync_file, write_text
from multifaceted.store.schema import arrow_schema

BATCH_ROWS = 500
PROMPT = ("id", "system", "prompt")
PAIR = (*PROMPT, "chosen", "rejected")
# The published config that a task's rows come from, and its columns that are needed.
SOURCES: dict[Task, tuple[str, tuple[str, ...]]] = {
    "sft": ("sft", (*PROMPT, "output")),
    "dpo": ("dpo", PAIR),
    "orpo": ("orpo", PAIR),
    "rm": ("dpo", PAIR),
}


@dataclass(frozen=True, slots=True)
class WrittenView:
    """What was written.

    Args:
        rows: by split.
        left_out: instructions that give no pair, counted by reason.
        files: names in the folder.
        command: starts the training there.
    """

    rows: dict[str, int]
    left_out: dict[str, int]
    files: list[str]
    command: str


def write_view(source: Path, out: Path, *, trainer: Trainer, task: Task) -> WrittenView:
    """Write what a trainer loads for a task, with the configuration that trains on it.

    Args:
        source: a whole run, or a folder that `multifaceted build` made.
        out: a folder that does not exist yet.
        trainer: for whom.
        task: for what.

    Raises:
        InputError: where the trainer has no such task.
        StorageError: where the source is not whole, damaged, a bench, or gives no row, or `out` exists.
    """
    view = find_view(trainer, task)
    _refuse_existing(out)
    opened = _open_collection(source)
    left_out = {} if task == "sft" else {reason: len(ids) for reason, ids in opened.left_out.items()}
    with replaced_folder(out) as place:
        rows = _write_rows(opened, view, task, place / "data")
        if not rows.get("train"):
            raise _no_rows(source, left_out)
        texts = render_files(view, trainer=trainer, task=task, run=opened.run, rows=rows, left_out=left_out)
        for name, text in texts.items():
            write_text(place / name, text)
        files = sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    return WrittenView(rows, left_out, files, view.command)


def _open_collection(path: Path) -> Source:
    source = open_source(path)
    if source.run.kind != "collection":
        hint = "export a run of `kind: collection`, and keep the bench for judging what it trains"
        raise StorageError(f"{path} is a {source.run.kind}: nothing is trained on it", hint=hint)
    return source


def _write_rows(source: Source, view: View, task: Task, folder: Path) -> dict[str, int]:
    folder.mkdir()
    test = source.test if task == "rm" else frozenset()
    with ExitStack() as stack:
        files: dict[str, _SplitFile] = {}
        for split in ("train", "test") if test else ("train",):
            files[split] = stack.enter_context(_SplitFile(folder / f"{split}.parquet", view.model))
        config, columns = SOURCES[task]
        for batch in source.read(config):
            for row in batch.select(columns).to_pylist():
                files["test" if row["id"] in test else "train"].add(view.make(row))
    return {split: file.rows for split, file in files.items()}


class _SplitFile:
    """One Parquet file, written in row groups of a fixed size: equal rows give equal bytes."""

    def __init__(self, path: Path, model: type[BaseModel]) -> None:
        self.rows = 0
        self._path = path
        self._schema = arrow_schema(model)
        self._held: list[dict[str, Any]] = []
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()
        sync_file(self._path)

    def add(self, row: BaseModel) -> None:
        self._held.append(row.model_dump())
        self.rows += 1
        if len(self._held) == BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_batch(pa.RecordBatch.from_pylist(self._held, schema=self._schema))
            self._held = []


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise StorageError(f"{out} exists", hint="name a new folder with --out, or move this one away")


def _no_rows(source: Path, left_out: dict[str, int]) -> StorageError:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
    hint = "a pair needs two good variants of an instruction: raise `variants`, or run `multifaceted retry`"
    return StorageError(f"{source} gives no pair ({reasons or 'no instruction'})", hint=hint)
