"""Trainers, one file each: `find_view("trl", "dpo")`.

Every module in this package is one trainer: its name is that of the module, `VIEWS` holds its views by task,
and `TITLE` is how its makers write it. The templates that views name are in `templates/views/`. Nothing else
has to be edited.
"""

import pkgutil
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from multifaceted.errors import InputError, Problem
from multifaceted.exporting.tasks import TASKS, Task

if TYPE_CHECKING:
    from multifaceted.exporting.view import View


def list_trainers() -> list[str]:
    """Return the names of all trainers."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


@cache
def read_views(trainer: str) -> "dict[Task, View]":
    """Return the views of a trainer, by task."""
    views: dict[Task, View] = import_module(f"{__name__}.{trainer}").VIEWS
    return views


def title_of(trainer: str) -> str:
    """Return the name of a trainer as its makers write it."""
    title: str = import_module(f"{__name__}.{trainer}").TITLE
    return title


def find_view(trainer: str, task: Task) -> "View":
    """Return the view of a task for a trainer.

    Raises:
        InputError: where there is no such trainer or task, or the trainer cannot do the task.
    """
    trainers = list_trainers()
    faults = [
        Problem(option, 0, f"{given!r} is not one of {', '.join(known)}")
        for option, given, known in (("--for", trainer, trainers), ("--task", task, TASKS))
        if given not in known
    ]
    if faults:
        raise InputError(faults)
    able = [name for name in trainers if task in read_views(name)]
    if trainer not in able:
        hint = f"take another trainer: {', '.join(f'--for {name}' for name in able)}"
        raise InputError([Problem("--task", 0, f"{trainer} has no trainer for {task}")], hint=hint)
    return read_views(trainer)[task]
