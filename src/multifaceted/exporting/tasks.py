"""What can be trained on a collection."""

from typing import Literal, get_args

Task = Literal["sft", "dpo", "orpo", "rm"]
TASKS: tuple[Task, ...] = get_args(Task)
