"""`export`: a collection as a trainer loads it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

import multifaceted as mf
from multifaceted.cli.options import Json
from multifaceted.exporting.tasks import TASKS
from multifaceted.exporting.trainers import list_trainers
from multifaceted.terminal import show

if TYPE_CHECKING:
    from multifaceted.exporting.tasks import Task as TaskName

# Each trainer is a file, so which there are is known when this is run.
Trainer: Any = StrEnum("Trainer", list_trainers())  # type: ignore[misc]
Task: Any = StrEnum("Task", TASKS)  # type: ignore[misc]


def export(
    source: Annotated[
        Path, typer.Argument(help="A finished run folder, or a built folder.", metavar="RUN|FOLDER")
    ],
    trainer: Annotated[Trainer, typer.Option("--for", help="The trainer.")],
    task: Annotated[Task, typer.Option("--task", help="What to train.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """Write what a trainer loads with no further code, and a training configuration beside it.

    Example: `multifaceted export run --for trl --task dpo --out to_train/dpo`
    """
    written = mf.export(source, out, trainer=str(trainer), task=cast("TaskName", str(task))).written
    if as_json:
        show.data(
            {
                "folder": str(out),
                "rows": written.rows,
                "left_out": written.left_out,
                "files": written.files,
                "command": written.command,
            }
        )
        return
    show.table(f"{out}", ["split", "rows"], [[split, rows] for split, rows in written.rows.items()])
    for reason, count in sorted(written.left_out.items()):
        show.text(f"{count:,} instructions give no pair: {reason}")
    show.text(f"next, in {out}: {written.command}    # README.md there says more")
