"""`export`: a collection as a trainer loads it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from multifaceted.cli import show
from multifaceted.cli.plan import Json


class Trainer(StrEnum):
    """Who trains."""

    trl = "trl"
    axolotl = "axolotl"
    openrlhf = "openrlhf"


class Task(StrEnum):
    """What is trained."""

    sft = "sft"
    dpo = "dpo"
    orpo = "orpo"
    rm = "rm"


def export(
    source: Annotated[
        Path, typer.Argument(help="A whole run folder, or a built folder.", metavar="RUN_OR_BUILT_FOLDER")
    ],
    trainer: Annotated[Trainer, typer.Option("--for", help="Who trains.")],
    task: Annotated[Task, typer.Option("--task", help="What is trained.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to make; it must not exist.", metavar="DIR")],
    as_json: Json = False,
) -> None:
    """Write what a trainer loads with no further code, and a training configuration beside it.

    Example: `multifaceted export run --for trl --task dpo --out to_train/dpo`
    """
    from multifaceted.exporting.write import write_view  # noqa: PLC0415 - pyarrow and polars are slow to import

    written = write_view(source, out, trainer=trainer.value, task=task.value)
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
