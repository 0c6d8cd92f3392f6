"""Which trainer has which task: `find_view("trl", "dpo")`."""

from multifaceted.errors import InputError, Problem
from multifaceted.export.views import axolotl, openrlhf, trl
from multifaceted.export.views.view import Task, Trainer, View

VIEWS: dict[Trainer, dict[Task, View]] = {
    "trl": trl.VIEWS,
    "axolotl": axolotl.VIEWS,
    "openrlhf": openrlhf.VIEWS,
}


def find_view(trainer: Trainer, task: Task) -> View:
    """The view of a task for a trainer.

    Raises:
        InputError: where the trainer cannot do the task.
    """
    view = VIEWS[trainer].get(task)
    if view is None:
        able = [name for name, views in VIEWS.items() if task in views]
        hint = f"take another trainer: {', '.join(f'--for {name}' for name in able)}"
        raise InputError([Problem("--task", 0, f"{trainer} has no trainer for {task}")], hint=hint)
    return view
