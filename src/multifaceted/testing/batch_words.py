"""What a poll is told of a batch: the truth, or what a `BatchFault` makes of it.

Example:
    Telling(BatchFault(output_late=1)).tell(shown)["output_file_id"]    # None, though it has ended
"""

from typing import Any

from multifaceted.testing.faults import BatchFault

ENDS = ("completed", "failed", "expired", "cancelled")
_MISTRAL_STATES = {
    "validating": "QUEUED",
    "in_progress": "RUNNING",
    "finalizing": "RUNNING",
    "completed": "SUCCESS",
    "failed": "FAILED",
    "expired": "TIMEOUT_EXCEEDED",
    "cancelling": "CANCELLATION_REQUESTED",
    "cancelled": "CANCELLED",
}
_MISTRAL_FIELDS = {"output_file_id": "output_file", "error_file_id": "error_file"}


class Telling:
    """Counts the polls of a batch that has ended."""

    def __init__(self, fault: BatchFault) -> None:
        self._fault = fault
        self._polls = 0  # since it has ended

    def tell(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Return the batch object as it is answered to the next poll."""
        told = dict(shown)
        if shown["status"] in ENDS:
            self._polls += 1
            for name, late in (
                ("output_file_id", self._fault.output_late),
                ("error_file_id", self._fault.error_late),
            ):
                if self._polls <= late:
                    told[name] = None
            told["status"] = self._fault.stuck_in or told["status"]
        told["request_counts"] = self._count(shown["request_counts"])
        if self._fault.counts == "absent":
            del told["request_counts"]
        return self._restyle(told)

    def _count(self, counts: dict[str, int]) -> dict[str, int | None]:
        fault = self._fault
        if fault.counts == "null":
            return dict.fromkeys(counts)
        if fault.counts == "zero":
            return {**counts, "completed": 0, "failed": 0}
        if fault.counts == "behind" and self._polls <= fault.counts_behind:
            return {**counts, "completed": counts["completed"] // 2, "failed": counts["failed"] // 2}
        return dict(counts)

    def _restyle(self, told: dict[str, Any]) -> dict[str, Any]:
        if self._fault.batch_style == "together":
            return {**told, "status": told["status"].upper(), "request_counts": None, "progress": 100.0}
        if self._fault.batch_style == "mistral":
            counts = told.pop("request_counts", None) or {}
            renamed = {_MISTRAL_FIELDS.get(name, name): value for name, value in told.items()}
            done = {"total_requests": counts.get("total"), "succeeded_requests": counts.get("completed")}
            state = _MISTRAL_STATES.get(told["status"], told["status"])
            return {**renamed, **done, "failed_requests": counts.get("failed"), "status": state}
        return told
