"""Whether an endpoint refuses everything for the same reason, or single requests for what they hold.

Example:
    verdict = Verdict()
    number = verdict.send()
    if await verdict.hold(number, refusal):
        ...                            # the key, the model's name or the like is wrong: no row's fault

Until an endpoint has answered once, its refusals wait: with the same words they tell of the configuration. It
takes the first eight requests, or all, where there are fewer.
"""

import asyncio

from multifaceted.errors import InterruptedRunError, RejectedRequestError

MIN_REFUSALS = 8  # requests, the first ones sent, whose equal refusals are no row's fault
NO_REPLIES = 6  # bodies of status 200 that hold no reply, before there was any: as many as a request is tried


class Verdict:
    """On one endpoint and model. Requests are numbered in the order in which they are sent."""

    def __init__(self) -> None:
        self.refuses_all = False  # everything is refused alike
        self._accepts_some = False  # one was answered, or refused in other words
        self._stopped = False
        self._garbage = 0
        self._next = 0
        self._pending: set[int] = set()
        self._held: dict[int, tuple[asyncio.Future[bool], str]] = {}

    def send(self) -> int:
        """Number a request that is sent now."""
        self._pending.add(self._next)
        self._next += 1
        return self._next - 1

    def note_answer(self, number: int) -> None:
        """A request was answered: refusals are the rows' affair."""
        self._pending.discard(number)
        self._settle(refuses_all=False)

    def note_other(self, number: int) -> None:
        """A request came to something that tells nothing of the others."""
        self._pending.discard(number)
        self._look()

    def note_garbage(self, number: int) -> bool:
        """Return a request brought a body that is not a reply; true where the endpoint gives nothing else."""
        self._garbage += 1
        if self._garbage >= NO_REPLIES:
            self._settle(refuses_all=True)
        self.note_other(number)
        return self.refuses_all

    async def hold(self, number: int, error: RejectedRequestError) -> bool:
        """Wait until it is clear what a refusal means; true where everything is refused alike.

        Raises:
            InterruptedRunError: where the run stops first.
        """
        self._pending.discard(number)
        if not error.cause or self._accepts_some:
            self._look()
            return False
        if self.refuses_all:
            return True
        if self._stopped:
            raise InterruptedRunError("the run is stopping")
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._held[number] = future, error.cause
        self._look()
        try:
            return await future
        finally:
            self._held.pop(number, None)

    def conclude(self, *, refuses_all: bool) -> None:
        """No further request will come: decide by those that there are."""
        if self._held:
            self._settle(refuses_all=refuses_all)

    def stop(self) -> None:
        """Let go of all that wait."""
        self._stopped = True
        for future, _ in self._held.values():
            if not future.done():
                future.set_exception(InterruptedRunError("the run is stopping"))

    def _look(self) -> None:
        if len({words for _, words in self._held.values()}) > 1:
            self._settle(refuses_all=False)
        numbers = sorted(self._held)
        # An earlier one may be answered yet: to refuse takes less time than to answer.
        if len(numbers) >= MIN_REFUSALS and numbers[MIN_REFUSALS - 1] < min(
            self._pending, default=self._next
        ):
            self._settle(refuses_all=True)

    def _settle(self, *, refuses_all: bool) -> None:
        if self.refuses_all or self._accepts_some:
            return
        self.refuses_all, self._accepts_some = refuses_all, not refuses_all
        for future, _ in self._held.values():
            if not future.done():
                future.set_result(refuses_all)
