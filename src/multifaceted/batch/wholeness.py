"""Whether the results of a batch are all there, by what its files hold and what the endpoint counts.

Example:
    found = Found(requests=30, answered=28, failed=0)
    is_whole(state, found)               # False where the state counts 30 completed: look again later
    are_unanswered(state, found)         # whether what is missing may be asked again, when waiting is over

Endpoints say `completed` before the files can be read, give files that are still being written, and count
late or not at all. What a batch answered is paid for, so a request is asked again only where the endpoint
itself says that it was not answered. See decision 9 in docs/explanation/decisions.
"""

from typing import NamedTuple

from multifaceted.batch.state import BatchState


class Found(NamedTuple):
    """What the result files hold of the requests of a batch."""

    requests: int
    answered: int = 0  # with a reply, good or not
    failed: int = 0  # of which the endpoint says that it has none

    @property
    def missing(self) -> int:
        """Requests of which they hold nothing."""
        return self.requests - self.answered - self.failed


def is_whole(state: BatchState, found: Found) -> bool:
    """Return whether nothing more is to be expected."""
    if not found.missing:
        return True
    # One that expired or was cancelled need not name the requests that it did not get to.
    ended_early = state.ended and state.status != "completed"
    return ended_early and state.completed is not None and found.answered >= _count_completed(state, found)


def are_unanswered(state: BatchState, found: Found) -> bool:
    """Return whether, all waiting done, the endpoint says that what is missing was not answered."""
    if not state.ended:
        return False
    if state.completed is None:
        return state.status != "completed"
    # A batch that is completed and counts nothing at all does not count.
    counts = state.status != "completed" or bool(state.completed or state.failed)
    return counts and found.answered >= _count_completed(state, found)


def describe_missing(state: BatchState, found: Found) -> str:
    """Return what is missing, in words."""
    if state.completed is None:
        counted = "does not count what it answered"
    else:
        counted = f"counts {state.completed:,} as answered"
    return (
        f"says {state.status!r} and {counted}, but its result files hold {found.answered:,} replies "
        f"and {found.failed:,} failures for {found.requests:,} requests"
    )


def _count_completed(state: BatchState, found: Found) -> int:
    return min(state.completed or 0, found.requests)
