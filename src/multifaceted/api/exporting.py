"""`export`: a collection as a trainer loads it."""

from dataclasses import dataclass
from pathlib import Path

from multifaceted.api.built import BuiltFolder
from multifaceted.api.runs import Run
from multifaceted.exporting.tasks import Task
from multifaceted.exporting.write import WrittenView, write_view


@dataclass(frozen=True, repr=False)
class Exported:
    """What a trainer loads."""

    path: Path
    written: WrittenView

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        rows = ", ".join(f"{split} {rows:,}" for split, rows in self.written.rows.items())
        return f"<{self.path}: {rows}; train there with: {self.written.command}>"


def export(source: str | Path | Run | BuiltFolder, out: str | Path, *, trainer: str, task: Task) -> Exported:
    """Write what a trainer loads with no further code, and a training configuration beside it.

    Args:
        source: a finished run, or a built folder.
        out: the folder to make.
        trainer: `trl`, `axolotl` or `openrlhf`.
        task: `sft`, `dpo`, `orpo` or `rm`.

    Raises:
        InputError: where the trainer cannot do the task.
        StorageError: where the source is not finished or damaged, or something else is in the way.
    """
    return Exported(Path(out), write_view(Path(source), Path(out), trainer=trainer, task=task))
