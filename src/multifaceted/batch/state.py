"""What the Batch API answers, as far as it matters: `read_state(text).ended`.

Servers that are not OpenAI's leave fields out or set them to null, so little is insisted on; but an answer
without an id is none, and is asked for again.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from multifaceted.chat.policy import NO_CREDIT, QUOTA_CODES

ENDED = ("completed", "failed", "expired", "cancelled")
FULL_QUEUE_CODES = ("token_limit_exceeded",)  # said of a batch that must wait for others to end


class Named(BaseModel):
    """A file or a batch: what has an id, and perhaps metadata by which it is found again."""

    id: str = Field(min_length=1)
    metadata: dict[str, Any] | None = None


class Page(BaseModel):
    """One page of the list of batches, newest first."""

    data: list[Named]
    has_more: bool | None = None


class _Fault(BaseModel):
    code: str | None = None
    message: str | None = None


class _Faults(BaseModel):
    data: list[_Fault] | None = None


class _Counts(BaseModel):
    completed: int | None = None
    failed: int | None = None
    total: int | None = None


class _Batch(Named):
    status: str
    errors: _Faults | None = None
    request_counts: _Counts | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch as the endpoint tells of it."""

    id: str
    status: str
    done: int  # requests
    total: int
    files: tuple[str, ...]  # ids of the files with results, good and bad
    fault: str  # why it failed as a whole; empty where it did not
    hint: str  # what to do about the fault
    queue_is_full: bool  # it failed only because too much is queued

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED


def read_state(text: str) -> BatchState:
    """What matters of an answer that describes a batch.

    Raises:
        ValidationError: where it describes none.
    """
    batch = _Batch.model_validate_json(text)
    counts, faults = batch.request_counts or _Counts(), batch.errors.data or [] if batch.errors else []
    codes = {fault.code or "" for fault in faults}
    failed = batch.status == "failed"
    words = "; ".join(f"{fault.code or 'no code'}: {fault.message or 'no reason given'}" for fault in faults)
    no_credit = not codes.isdisjoint(QUOTA_CODES)
    return BatchState(
        id=batch.id,
        status=batch.status,
        done=(counts.completed or 0) + (counts.failed or 0),
        total=counts.total or 0,
        files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
        fault=(words or "no reason given") if failed else "",
        hint=NO_CREDIT if no_credit else "mend what the endpoint complains of, or use mode: live",
        queue_is_full=failed and not codes.isdisjoint(FULL_QUEUE_CODES),
    )
