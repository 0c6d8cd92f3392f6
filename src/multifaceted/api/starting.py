"""`init`, `instructions prepare` and `model install`: what stands before a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multifaceted.api.starter import write_starter
from multifaceted.chat.weights import install_weights
from multifaceted.instructions.prepare import prepare
from multifaceted.instructions.watch import TellStep
from multifaceted.terminal.steps import show_steps


@dataclass(frozen=True, repr=False)
class Prepared:
    """A pool of instructions that was made of others."""

    path: Path
    report: dict[str, Any]  # counts, sources, licenses, what was dropped and why

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        funnel = self.report["funnel"]
        return f"<{self.path}: {funnel['read']:,} rows read, {funnel['kept']:,} kept>"


def init(folder: str | Path, *, bench: bool = False) -> list[Path]:
    """Make a folder with a recipe, instructions, and the templates and taxonomy to edit.

    Args:
        folder: to make.
        bench: for a benchmark rather than a collection.

    Returns:
        The files, the recipe first.

    Raises:
        InputError: where one of the files is there already; nothing is written then.
    """
    return write_starter(Path(folder), bench=bench)


def prepare_instructions(sources: str | Path, out: str | Path, *, watch: TellStep | None = None) -> Prepared:
    """Read instruction pools, clean them, leave out duplicates and benchmark prompts, and draw a sample.

    Beside the file stand what was dropped and why (`.dropped`), what was changed (`.changed`), and a report.

    Args:
        sources: the recipe of sources, a YAML file.
        out: the file to write, .parquet or .jsonl; an earlier one is replaced.
        watch: told the step, what of it is done, and of how much; None shows it on a terminal.

    Raises:
        InputError: where recipe or pools have problems.
    """
    if watch is not None:
        return Prepared(Path(out), prepare(Path(sources), Path(out), watch=watch))
    with show_steps() as shown:
        return Prepared(Path(out), prepare(Path(sources), Path(out), watch=shown))


def install_model(*, force: bool = False) -> Path:
    """Fetch the embedded model's weights (98 MB, Apache-2.0) into the user's cache folder.

    Raises:
        SetupError: where they cannot be fetched.
    """
    return Path(install_weights(force=force))
