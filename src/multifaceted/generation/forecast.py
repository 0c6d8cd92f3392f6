"""What a start of a run would ask: the counts, and what answers from a journal to find them.

Example:
    forecast.stages["response"].to_ask, forecast.open
"""

from dataclasses import dataclass, field

from multifaceted.ask.asker import find_reply
from multifaceted.ask.channel import MissingReply
from multifaceted.ask.control import RunControl
from multifaceted.journal import Journal
from multifaceted.records import Message, Reply, Request


@dataclass(slots=True)
class StageForecast:
    """Requests of one stage. Where rows were left out, they count for all rows."""

    answered: float = 0  # their replies are in the journals
    under_way: float = 0  # in batches that were submitted
    missing: float = 0  # to ask, as they are known now
    first_missing: float = 0  # the same without repair turns
    following: float = 0  # to ask after those, whose prompts hold replies that are not there yet
    repairs: float = 0  # expected beside them, by how many replies did not validate so far
    again: float = 0  # of those to ask, the ones of rows that had another reply in this stage before
    # Of the replies that were looked at, to go by
    replies: int = 0
    first_replies: int = 0  # repair turns left out
    counted: int = 0  # those whose tokens the endpoint told
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def to_ask(self) -> int:
        """Requests that running now would send."""
        return round(self.missing + self.following + self.repairs)

    @property
    def in_all(self) -> int:
        """Requests of the whole run."""
        return round(self.answered + self.under_way) + self.to_ask


@dataclass
class Forecast:
    """What is there of a run, and what running now would ask. Planned = ok + failed + open."""

    planned: int
    stages: dict[str, StageForecast]
    ok: float = 0  # rows that need nothing more
    failed: float = 0  # rows that failed, and would not be asked again
    open: float = 0  # rows to make
    looked_at: int = 0  # rows that were gone through


@dataclass
class JournalAsker:
    """Answers from a journal, and counts what it finds there, for one row after the other."""

    stages: dict[str, StageForecast]
    under_way: frozenset[str]
    weight: float = 1.0
    found: set[str] = field(default_factory=set)  # keys in this shard: equal requests count once
    missed: set[str] = field(default_factory=set)
    control: RunControl = field(default_factory=RunControl)
    capacity: int = 1
    _asked: list[tuple[str, tuple[Message, ...]]] = field(default_factory=list)

    def begin_row(self) -> None:
        """Forget what the last row asked."""
        self._asked.clear()

    async def ask(self, request: Request, journal: Journal) -> Reply:
        """Return the reply in the journal.

        Raises:
            MissingReply: where there is none.
        """
        is_repair = self.is_repair(request)
        self._asked.append((request.label, request.messages))
        reply = find_reply(request, journal)
        if reply is None:
            raise MissingReply([request])
        stage = self.stages[request.label]
        if request.key not in self.found:
            self.found.add(request.key)
            stage.answered += self.weight
            stage.replies += 1
            stage.first_replies += not is_repair
            stage.counted += reply.is_counted
            stage.prompt_tokens += reply.prompt_tokens
            stage.completion_tokens += reply.completion_tokens
        return reply

    def is_repair(self, request: Request) -> bool:
        """Return whether it goes on from a request of this row whose reply did not validate."""
        turns = request.messages
        return any(
            label == request.label and len(turns) > len(before) and turns[: len(before)] == before
            for label, before in self._asked
        )
