"""How much an endpoint's queue of batches takes, learned from the batches that it refuses as too many.

Example:
    room = QueueRoom(50_000)
    room.note_full(50_000, beside=0)     # refused though nothing else of ours was queued
    room.batch_size                      # 25,000
    room.note_taken(25_000)              # it came through: four times as much may be there next

OpenAI bounds the tokens that an organization has queued for a model, all its batches together. The bound is
not told beforehand, and others may fill it for a while. So room shrinks where a batch is refused and grows
where one comes through, and a queue that takes nothing at all is given some hours.
"""

import math
from dataclasses import dataclass

SHRINK = 2
GROW = 4  # more than it shrinks by: a refusal takes minutes, a batch that is too small may take a day
PATIENCE = 12  # refusals in a row, nothing of ours being queued; with half a minute between polls, 4 hours
LONGEST_WAIT = 60  # polls between two tries; 30 minutes


@dataclass
class QueueRoom:
    """The queue for one model at one endpoint."""

    most: int  # requests that one batch may hold
    requests: float = math.inf  # that may be at work at once
    refusals: int = 0  # in a row

    @property
    def batch_size(self) -> int:
        """Return how many requests the next batches hold at most."""
        return max(1, int(min(self.most, self.requests)))

    @property
    def exhausted(self) -> bool:
        """Return whether it was tried often enough."""
        return self.refusals >= PATIENCE

    @property
    def polls_to_wait(self) -> int:
        """Return how long it is left alone before the next try, in the time between two polls."""
        return min(2 ** (self.refusals - 1), LONGEST_WAIT) if self.refusals else 0

    def takes(self, requests: int, *, beside: int) -> bool:
        """Whether a batch may be submitted beside so many requests that are at work; alone it always may."""
        return beside == 0 or beside + requests <= self.requests

    def note_full(self, requests: int, *, beside: int) -> None:
        """A batch was refused beside so many requests of ours that are, or may be, in the queue."""
        if beside:
            self.requests = min(self.requests, beside)
        else:
            self.requests = max(1, requests // SHRINK)
            self.refusals += 1

    def note_taken(self, requests: int) -> None:
        """A batch came through."""
        self.refusals = 0
        self.requests += (GROW - 1) * requests
