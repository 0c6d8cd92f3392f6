"""What the Batch API answers, as far as it matters: `read_state(text).ended`.

Servers that are not OpenAI's leave fields out, set them to null, name them differently or write them in other
types, so little is insisted on: that the answer is an object with an id, and of a batch, with a status.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from multifaceted.chat.error_body import is_unpaid
from multifaceted.chat.policy import NO_CREDIT, translate_refusal
from multifaceted.errors import TransientEndpointError

FULL_QUEUE_CODES = ("token_limit_exceeded",)  # said of a batch that must wait for others to end
MAX_QUOTE = 200  # characters of an answer that is none, in the error

Status = Literal["completed", "expired", "cancelled", "failed"]
# As Mistral, Together, Gemini and others name them; case and a prefix such as `JOB_STATE_` aside.
SYNONYMS: dict[str, Status] = {
    **dict.fromkeys(
        ("completed", "complete", "success", "succeeded", "done", "finished", "ended"), "completed"
    ),
    **dict.fromkeys(("expired", "timeout_exceeded", "timeout", "timed_out"), "expired"),
    **dict.fromkeys(("cancelled", "canceled", "aborted"), "cancelled"),
    **dict.fromkeys(("failed", "failure", "error", "errored"), "failed"),
}
RUNNING = (
    *("validating", "in_progress", "queued", "running", "pending", "preparing", "processing"),
    *("created", "submitted", "scheduled", "not_started", "starting"),
)
CLOSING = ("finalizing", "cancelling", "canceling", "cancellation_requested")  # nothing more is answered
_PREFIXES = ("job_state_", "batch_state_", "batch_status_")
_WRAPPERS = ("job", "batch", "data")  # some servers put the object they created into another
_ERRORS = range(400, 600)


class Named(NamedTuple):
    """A batch in a list, with that by which it is found again."""

    id: str
    metadata: dict[str, Any]
    input_file_id: str


class Page(NamedTuple):
    """One page of the list of batches, newest first."""

    batches: list[Named]
    has_more: bool


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch as the endpoint tells of it."""

    id: str
    status: str  # one of `Status` where it has ended, else in the endpoint's words
    closing: bool  # not ended, but nothing more is answered: results are being written, or are there
    completed: int | None  # requests that have a reply; None where the endpoint does not say
    failed: int | None  # requests that have none
    total: int | None
    files: tuple[str, ...]  # ids of the files with results, good and bad
    fault: str  # why it failed as a whole; empty where it did not
    hint: str  # what to do about the fault
    queue_is_full: bool  # it failed only because too much is queued

    @property
    def ended(self) -> bool:
        """Return whether nothing more will happen, by the endpoint's word."""
        return self.status in SYNONYMS.values()

    @property
    def done(self) -> int:
        """Requests that the endpoint is done with, for people to look at."""
        return (self.completed or 0) + (self.failed or 0)

    @property
    def refused(self) -> bool:
        """Return whether it brought nothing, and never will."""
        return bool(self.fault) and not self.files and not self.completed


def read_state(text: str) -> BatchState:
    """Return what matters of an answer that describes a batch.

    Raises:
        EndpointError: where it describes none.
    """
    batch = _read_object(text)
    if not isinstance(batch.get("status"), str):
        raise _garbage(text)
    status, faults = _read_status(batch["status"]), list(_read_faults(batch.get("errors")))
    completed, failed, total = _read_counts(batch)
    codes = {code for code, _ in faults}
    words = "; ".join(f"{code or 'no code'}: {message or 'no reason given'}" for code, message in faults)
    ended, named = status in SYNONYMS.values(), tuple(_read_files(batch))
    # What nobody knows may be an end as well; the files tell.
    seems_ended = status not in RUNNING and (bool(named) or (completed or 0) + (failed or 0) >= (total or 1))
    return BatchState(
        id=batch["id"],
        status=status,
        closing=not ended and (status in CLOSING or seems_ended or bool(batch.get("completed_at"))),
        completed=completed,
        failed=failed,
        total=total,
        files=named,
        fault=(words or "no reason given") if status == "failed" else "",
        hint=NO_CREDIT if is_unpaid(codes) else "mend what the endpoint complains of, or use mode: live",
        queue_is_full=status == "failed" and bool(codes & {*FULL_QUEUE_CODES}),
    )


def read_id(text: str) -> str:
    """Return the id of the file or batch that an answer describes.

    Raises:
        EndpointError: where it describes none.
    """
    return str(_read_object(text)["id"])


def read_page(text: str) -> Page:
    """One page of the list of batches; a bare array is one, too.

    Raises:
        EndpointError: where the answer is none.
    """
    data = _read_json(text)
    listed = data.get("data") if isinstance(data, dict) else data
    if not isinstance(listed, list) or not all(_is_named(item) for item in listed):
        raise _garbage(text)
    found = [Named(b["id"], _dict(b.get("metadata")), str(b.get("input_file_id") or "")) for b in listed]
    return Page(found, isinstance(data, dict) and bool(data.get("has_more")))


def as_count(value: object) -> int | None:
    """Return a number of requests, however it is written; None where it is none."""
    try:
        count = int(float(value)) if isinstance(value, str | float) else value
    except (ValueError, OverflowError):
        return None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None


def inner_status(error: object) -> int | None:
    """Return the HTTP status that an error object names as its code; None where it names none."""
    found = _dict(error)
    codes = (as_count(found.get(name)) for name in ("code", "status", "status_code"))
    return next((code for code in codes if code in _ERRORS), None)


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _garbage(text) from error


def _read_object(text: str) -> dict[str, Any]:
    data = _read_json(text)
    inner = [data[name] for name in _WRAPPERS if name in data] if isinstance(data, dict) else []
    for found in (data, *inner):
        if _is_named(found):
            return dict(found)
    error = _dict(data).get("error")
    status = inner_status(error)
    if status is not None:  # an error in an answer of status 200
        raise translate_refusal(status, {}, text)
    raise _garbage(text)


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and bool(value["id"])


def _garbage(text: str) -> TransientEndpointError:
    quote = " ".join(text[:MAX_QUOTE].split()) or "nothing at all"
    return TransientEndpointError(
        f"the answer is none that the Batch API would give: {quote}", kind="garbage"
    )


def _read_status(words: str) -> str:
    status = words.strip().lower().replace("-", "_").replace(" ", "_")
    for prefix in _PREFIXES:
        status = status.removeprefix(prefix)
    return SYNONYMS.get(status, status)


def _read_counts(batch: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Requests completed, failed and in all; some servers count at the top of the object."""
    counts = {**batch, **_dict(batch.get("request_counts"))}

    def read(*names: str) -> int | None:
        found = (as_count(counts.get(name)) for name in names)
        return next((count for count in found if count is not None), None)

    completed = read("succeeded", "succeeded_requests", "completed", "completed_requests")
    failed, total = read("failed", "errored", "failed_requests"), read("total", "total_requests")
    if completed is None and failed is not None and total is not None:
        completed = max(0, total - failed)
    return completed, failed, total


def _read_files(batch: dict[str, Any]) -> dict[str, None]:
    """Return the ids of files with results, each once."""
    files = (batch.get(name) for name in ("output_file_id", "output_file", "error_file_id", "error_file"))
    return dict.fromkeys(str(file) for file in files if isinstance(file, str | int) and file)


def _read_faults(errors: object) -> list[tuple[str, str]]:
    """Code and words of each; OpenAI lists objects under `data`, others write a text or a list of texts."""
    listed = errors.get("data", [errors]) if isinstance(errors, dict) else errors
    faults = listed if isinstance(listed, list) else [listed]
    read = [_dict(fault) or {"message": fault} for fault in faults if fault]
    return [(str(fault.get("code") or ""), str(fault.get("message") or "")) for fault in read]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
