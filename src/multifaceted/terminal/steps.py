"""The steps of a long preparation, as bars on a terminal: `with show_steps() as watch: ...`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from multifaceted.terminal import show


@contextmanager
def show_steps() -> Iterator[Callable[[str, int, int | None], None]]:
    """Show steps for as long as the block lasts; each is told with what is done of it, and of how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    hidden = show.is_notebook() or not show.err.is_terminal
    with Progress(*columns, console=show.err, transient=True, disable=hidden) as bar:

        def watch(step: str, done: int, total: int | None) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done)

        yield watch
