"""How a long preparation tells how far it is."""

from collections.abc import Callable

TellStep = Callable[
    [str, int, int | None], None
]  # told the step, what of it is done, and of how much, if known


def watch_nothing(step: str, done: int, total: int | None) -> None:
    """Tell nobody."""
