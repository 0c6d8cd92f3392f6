"""The exception tree.

Every error says what to do next (`hint`) and whether trying again can help (`retryable`).

    MultifacetedError
    ├── InputError             bad input or configuration; carries every `Problem` found
    ├── SetupError             something this machine lacks: an extra, weights, a key, a library
    ├── StorageError           a run or built folder that cannot be read or written
    │   └── LockedError        another process holds the same unit of work
    ├── EndpointError          a request got no usable reply
    │   ├── FatalEndpointError       asking anything more is pointless (3xx, 401, 403, 404, unreachable)
    │   ├── RejectedRequestError     this request can never succeed (400, 413, 422)
    │   └── TransientEndpointError   worth another try (408, 409, 429, 5xx, timeouts, garbage)
    ├── HubError               the Hub refused, could not be reached, or holds something else
    ├── InterruptedRunError    Ctrl-C or SIGTERM; the state is saved
    └── LimitReachedError      a limit that the recipe sets: money or failures; the state is saved
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from multifaceted.credentials import blot

# Why a row failed.
FailureKind = Literal[
    "invalid_reply",  # the text does not validate, not even after the repair turn
    "empty_reply",  # no text at all
    "template_error",  # the stage's template fails on what this row holds
    "truncated",  # cut at max_tokens
    "refused",  # the model declined, by the reply's own refusal field
    "content_filter",  # the endpoint's filter stopped the reply
    "garbage",  # HTTP 200 whose body is not a chat completion, or too long to be one
    "broken",  # the endpoint stopped in the middle of the reply, by its finish reason or an error in it
    "request_rejected",  # the endpoint refuses this request: 400, 413, 422
    "rate_limited",
    "server_error",
    "unavailable",  # 502 to 504, 52x: nobody behind the gateway, or nobody with time
    "timeout",
    "connection",
]

FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in somebody's input, with its place."""

    file: str
    line: int  # 1-based; 0 where the fault belongs to no single line
    message: str
    where: str = ""  # a path inside the file, such as `dimensions[2].slug`

    def __lt__(self, other: "Problem") -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[str, int, str, str]:
        return self.file, self.line, self.where, self.message

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.where, self.message) if part)


class MultifacetedError(Exception):
    """Base of all errors raised on purpose."""

    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        # Whoever raised it may quote a server that echoes a key.
        self.message = blot(message)
        super().__init__(self.message)
        self.hint = blot(hint)


class InputError(MultifacetedError):
    """Bad input or configuration, with every problem found, sorted by place."""

    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class SetupError(MultifacetedError):
    """This machine lacks something the work needs; the hint names the command that brings it."""


class StorageError(MultifacetedError):
    """A run folder or a built folder cannot be read or written."""


class LockedError(StorageError):
    """Another process is working on the same unit."""


class EndpointError(MultifacetedError):
    """A request got no usable reply. `kind` is the failure kind that its row gets."""

    def __init__(
        self,
        message: str,
        *,
        kind: FailureKind = "request_rejected",
        hint: str = "",
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.retry_after = retry_after  # seconds the endpoint asked us to wait; 0 where it did not say
        self.cause = ""  # equal for refusals of the same cause; empty where the cause is this request's own


class FatalEndpointError(EndpointError):
    """The endpoint will refuse every further request too: stop the run."""


class RejectedRequestError(EndpointError):
    """The endpoint refuses this request whatever happens: the row fails."""


class TransientEndpointError(EndpointError):
    """The same request may succeed later."""

    retryable = True


class HubError(MultifacetedError):
    """The Hub refused, could not be reached, or holds something else than it should."""

    def __init__(self, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable


class InterruptedRunError(MultifacetedError):
    """The run was asked to stop; what it had is saved."""


class LimitReachedError(MultifacetedError):
    """The run stopped itself, as the recipe asks; what it had is saved."""
