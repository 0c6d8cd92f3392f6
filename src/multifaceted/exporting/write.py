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

from multifaceted.building.source import RowSource, open_source
from multifaceted.errors import StorageError
from multifaceted.exporting.render import render_files
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.trainers import find_view
from multifaceted.exporting.view import View
from multifaceted.store.atomic import write_text
from multifaceted.store.loadable import require_loadable
from multifaceted.store.output_folder import Owned, read_record, replaced_output, write_record
from multifaceted.store.schema import arrow_schema
from multifaceted.store.table_file import TableWriter

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
    """What was written."""

    rows: dict[str, int]  # by split
    left_out: dict[str, int]  # instructions that give no pair, counted by reason
    files: list[str]  # names in the folder
    command: str  # starts the training there


def write_view(source: Path, out: Path, *, trainer: str, task: Task) -> WrittenView:
    """Write what a trainer loads for a task, with the configuration that trains on it, into a folder.

    Of an earlier export there the files are replaced, and no others. What was edited by hand is kept aside.

    Raises:
        InputError: where the trainer has no such task.
        StorageError: where the source is not finished, damaged, a bench, gives no row, or something else is
            in the way at `out`.
    """
    require_loadable(out)
    view = find_view(trainer, task)
    opened = _open_collection(source)
    left_out = {} if task == "sft" else {reason: len(ids) for reason, ids in opened.left_out.items()}
    with replaced_output(out, command="export", inputs=[source], read_owned=_read_owned) as staging:
        rows = _write_rows(opened, view, task, staging / "data")
        if not rows.get("train"):
            raise _no_rows(opened, left_out)
        texts = render_files(view, trainer=trainer, task=task, run=opened.run, rows=rows, left_out=left_out)
        for name, text in texts.items():
            write_text(staging / name, text)
        files = sorted(path.relative_to(staging).as_posix() for path in staging.rglob("*") if path.is_file())
        write_record(staging, "export")
    return WrittenView(rows, left_out, files, view.command)


def _read_owned(folder: Path) -> Owned | None:
    return read_record(folder, "export")


def _open_collection(path: Path) -> RowSource:
    source = open_source(path)
    if source.run.kind != "collection":
        hint = "export a run of `kind: collection`, and keep the bench for judging what it trains"
        raise StorageError(f"{path} is a {source.run.kind}: nothing is trained on it", hint=hint)
    return source


def _write_rows(source: RowSource, view: View, task: Task, folder: Path) -> dict[str, int]:
    test = source.test if task == "rm" else frozenset()
    schema, (config, columns) = arrow_schema(view.model), SOURCES[task]
    with ExitStack() as stack:
        files: dict[str, TableWriter] = {}
        for split in ("train", "test") if test else ("train",):
            file = TableWriter(folder / f"{split}.parquet", schema, file_format="parquet")
            files[split] = stack.enter_context(file)
        for batch in source.read(config):
            for row in batch.select(columns).to_pylist():
                files["test" if row["id"] in test else "train"].add(**view.make(row).model_dump())
        for file in files.values():
            file.commit()
    return {split: file.rows for split, file in files.items()}


def _no_rows(source: RowSource, left_out: dict[str, int]) -> StorageError:
    if source.curation is not None and not source.curation.kept:
        dropped = f"curation drops all {source.curation.dropped:,} rows"
        hint = f"see why with: multifaceted rows {source.path} --dropped, and curate with other filters"
        return StorageError(f"{source.path} gives no row: {dropped}", hint=hint)
    reasons = ", ".join(f"{reason}: {count}" for reason, count in sorted(left_out.items()))
    hint = "a pair needs two good variants of an instruction: raise `variants`, or run `multifaceted retry`"
    return StorageError(f"{source.path} gives no pair ({reasons or 'no instruction'})", hint=hint)
