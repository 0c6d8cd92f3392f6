"""Trainer views: a collection as one trainer loads it for one task, with a training configuration beside it.

    write_view(Path("run"), Path("to_train"), trainer="trl", task="dpo")

One module for each trainer holds its rows; the files beside them are templates in `templates/views/`.
"""

from multifaceted.export.views.table import VIEWS, find_view
from multifaceted.export.views.view import TASKS, TRAINERS, Task, Trainer, View
from multifaceted.export.views.write import WrittenView, write_view

__all__ = ["TASKS", "TRAINERS", "VIEWS", "Task", "Trainer", "View", "WrittenView", "find_view", "write_view"]
