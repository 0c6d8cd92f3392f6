"""The life of one batch: validating, in_progress, finalizing, completed, or one of its other ends.

Nothing runs in the background. A batch catches up with the clock when somebody looks at it:

    await batch.advance()
    batch.shown["status"]
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from multifaceted.testing.batch_input import BatchLine, describe_problem, read_input
from multifaceted.testing.batch_output import (
    LineResult,
    count_results,
    record_answer,
    record_expiry,
    sum_usage,
    write_results,
)
from multifaceted.testing.batch_words import Telling
from multifaceted.testing.faults import BatchFault
from multifaceted.testing.files import ContentFaults, FileStore
from multifaceted.testing.replies import Answer, describe_error
from multifaceted.testing.wire import new_id

DAY = 86_400
BREATH = 100  # lines answered before live requests get their turn
_MOMENTS = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class BatchHost(Protocol):
    """The server, as far as the life of its batches is concerned; read anew at each look."""

    batch_seconds: float
    batch_max_requests: int
    batch_max_bytes: int


class Batch:
    """One batch.

    Args:
        body: that created it.
        fault: how it misbehaves.
        host: gives the limits and the speed.
        files: where the input lies and the results go.
        answer: gives one request its answer, as if it were live.
        clock: seconds, from any start.
    """

    def __init__(
        self,
        body: dict[str, Any],
        *,
        fault: BatchFault,
        host: BatchHost,
        files: FileStore,
        answer: Callable[[dict[str, Any]], Answer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shown = _show_new(body)
        self.poll_errors_left = fault.poll_errors
        self._fault, self._host, self._files = fault, host, files
        self._answer, self._clock = answer, clock
        self._telling = Telling(fault)
        self._since = clock()  # when the present status began
        self._lines: list[BatchLine] = []
        self._results: list[LineResult] = []
        self._lock = asyncio.Lock()  # two polls may come at once
        self._steps: dict[str, Callable[[], Awaitable[None]]] = {
            "validating": self._validate,
            "in_progress": self._work_off,
            "finalizing": self._close,
            "cancelling": self._close,
        }

    async def advance(self) -> None:
        """Catch up with the clock: each status lasts `batch_seconds`, and lines are answered in step."""
        async with self._lock:
            while step := self._steps.get(self.shown["status"]):
                seconds, elapsed = self._host.batch_seconds, self._clock() - self._since
                if elapsed < seconds:
                    if self.shown["status"] == "in_progress":
                        await self._work(int(len(self._lines) * elapsed / seconds))
                    return
                self._since += seconds
                await step()

    def tell(self) -> dict[str, Any]:
        """Return the batch as a poll is told of it."""
        return self._telling.tell(self.shown)

    async def cancel(self) -> bool:
        """Stop after the lines answered so far, or as many as the fault says; False where it is too late."""
        await self.advance()
        async with self._lock:
            if self.shown["status"] == "validating" and self._fault.cancelled_after is not None:
                await self._validate()
            if self.shown["status"] in ("validating", "in_progress"):
                await self._work(self._fault.cancelled_after or 0)
                self._enter("cancelling")
                self._since = self._clock()
        return bool(self.shown["status"] == "cancelling")

    async def _validate(self) -> None:
        content = self._files.read(self.shown["input_file_id"])
        if content is None:
            problems = [describe_problem("file_not_found", "There is no such input file.")]
        else:
            self._lines, problems = read_input(
                content,
                endpoint=self.shown["endpoint"],
                max_requests=self._host.batch_max_requests,
                max_bytes=self._host.batch_max_bytes,
            )
        if self._fault.failed_with is not None:
            problems = [describe_problem(self._fault.failed_with, "the server misbehaves on demand")]
        if problems:
            self._lines = []
            self.shown["errors"] = {"object": "list", "data": problems}
            self._enter("failed")
        else:
            self.shown["model"] = self._lines[0].body["model"]
            self._enter("in_progress")
            self._count()

    async def _work_off(self) -> None:
        await self._work(len(self._lines))
        self._enter("finalizing" if self._fault.cancelled_after is None else "cancelling")

    async def _work(self, until: int) -> None:
        """Answer lines until so many are answered, or as many as the fault allows."""
        for allowed in (self._fault.expired_after, self._fault.cancelled_after):
            until = until if allowed is None else min(until, allowed)
        for line in self._lines[len(self._results) : until]:
            self._results.append(record_answer(line, self._answer_line(line)))
            if len(self._results) % BREATH == 0:
                await asyncio.sleep(0)
        self._count()

    def _answer_line(self, line: BatchLine) -> Answer:
        status = self._fault.line_status
        if status is None:
            return self._answer(line.body)
        return Answer(status, describe_error("the server misbehaves on demand", kind="server_error"))

    async def _close(self) -> None:
        cancelled = self.shown["status"] == "cancelling"
        expired = not cancelled and self._fault.expired_after is not None
        if expired:
            self._results += [record_expiry(line) for line in self._lines[len(self._results) :]]
        self._file_results()
        self._count()
        self.shown["usage"] = sum_usage(self._results)
        self._enter("cancelled" if cancelled else "expired" if expired else "completed")

    def _file_results(self) -> None:
        output, errors = write_results(self._results, self._fault)
        if output:
            self.shown["output_file_id"] = self._files.add(
                output,
                purpose="batch_output",
                filename=f"{self.shown['id']}_output.jsonl",
                faults=_spoil_content(self._fault),
            )
        if errors:
            self.shown["error_file_id"] = self._files.add(
                errors, purpose="batch_output", filename=f"{self.shown['id']}_error.jsonl"
            )

    def _count(self) -> None:
        self.shown["request_counts"] = {"total": len(self._lines), **count_results(self._results)}

    def _enter(self, status: str) -> None:
        self.shown["status"] = status
        self.shown[f"{status}_at"] = int(time.time())


def _spoil_content(fault: BatchFault) -> ContentFaults:
    return ContentFaults(
        errors=fault.content_errors,
        status=fault.content_status,
        empty=fault.content_empty,
        drops=fault.content_drops,
        cuts=fault.content_cuts,
        short_lines=fault.short_output,
        short_for=fault.short_for,
    )


def _show_new(body: dict[str, Any]) -> dict[str, Any]:
    now = int(time.time())
    return {
        "id": new_id("batch_"),
        "object": "batch",
        "endpoint": body["endpoint"],
        "model": None,
        "errors": None,
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + DAY,
        **{f"{status}_at": None for status in _MOMENTS},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": None,
        "metadata": body.get("metadata"),
    }
