"""The Batch API: creating, polling, listing and cancelling batches.

Example:
    POST /v1/batches {"input_file_id": "file-…", "endpoint": "/v1/chat/completions", …} -> {"id": "batch_…"}
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from multifaceted.testing.batch_input import count_lines
from multifaceted.testing.batch_life import Batch, BatchHost
from multifaceted.testing.faults import BatchFault
from multifaceted.testing.files import FileStore
from multifaceted.testing.limits import describe_wait
from multifaceted.testing.replies import Answer
from multifaceted.testing.wire import fail, refuse, send_page

ENDPOINTS = ("/v1/chat/completions",)
WINDOWS = ("24h",)
_METADATA_PAIRS, _METADATA_KEY, _METADATA_VALUE = 16, 64, 512
_TOO_MANY = 429


class BatchDeskHost(BatchHost, Protocol):
    """The server, as far as the Batch API is concerned."""

    batch_fault: Callable[[int, dict[str, Any]], BatchFault | None] | None
    batches: list[dict[str, Any]]
    batch_lines: int
    retry_after: float | None


@dataclass
class _Creation:
    """A batch that a client has set out to create, over however many tries."""

    fault: BatchFault
    errors_left: int


class BatchDesk:
    """All batches of one server, and the handlers of `/v1/batches`.

    Args:
        host: the server; its lists and counters are kept here.
        files: where the input lies and the results go.
        answer: gives one request its answer, as if it were live.
    """

    def __init__(
        self, host: BatchDeskHost, files: FileStore, *, answer: Callable[[dict[str, Any]], Answer]
    ) -> None:
        self._host, self._files, self._answer = host, files, answer
        self._batches: dict[str, Batch] = {}
        self._creations: dict[str, _Creation] = {}  # by input file: those that answered with an error
        self._asked = 0  # times that `batch_fault` was asked

    def routes(self) -> list[web.RouteDef]:
        """Return the paths served here."""
        return [
            web.post("/v1/batches", self._create),
            web.get("/v1/batches", self._list),
            web.get("/v1/batches/{id}", self._show),
            web.post("/v1/batches/{id}/cancel", self._cancel),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        problem = _check(body)
        if problem is not None:
            return problem
        file_id = body["input_file_id"]
        creation = self._creations.pop(file_id, None) or self._begin(body)
        if creation.errors_left == 0:
            return web.json_response(self._open(body, creation.fault).shown)
        creation.errors_left -= 1
        if creation.fault.create_anyway:
            self._open(body, creation.fault)
        # A batch that exists in spite of the last error is done with: who posts again creates another.
        if creation.errors_left > 0 or not creation.fault.create_anyway:
            self._creations[file_id] = creation
        status = creation.fault.create_status
        return fail(status, describe_wait(self._host.retry_after) if status == _TOO_MANY else None)

    def _begin(self, body: dict[str, Any]) -> _Creation:
        ask = self._host.batch_fault
        fault = (ask(self._asked, body) if ask else None) or BatchFault()
        self._asked += 1
        return _Creation(fault, fault.create_errors)

    def _open(self, body: dict[str, Any], fault: BatchFault) -> Batch:
        batch = Batch(body, fault=fault, host=self._host, files=self._files, answer=self._answer)
        self._batches[batch.shown["id"]] = batch
        self._host.batches.append(batch.shown)
        self._host.batch_lines += count_lines(self._files.read(body["input_file_id"]) or b"")
        return batch

    async def _list(self, request: web.Request) -> web.Response:
        newest_first = list(self._batches.values())[::-1]
        for batch in newest_first:
            await batch.advance()
        return send_page([batch.shown for batch in newest_first], request.query, usual=20, most=100)

    async def _show(self, request: web.Request) -> web.Response:
        batch = self._batches.get(request.match_info["id"])
        if batch is None:
            return _miss(request)
        if batch.poll_errors_left > 0:
            batch.poll_errors_left -= 1
            return fail()
        await batch.advance()
        return web.json_response(batch.tell())

    async def _cancel(self, request: web.Request) -> web.Response:
        batch = self._batches.get(request.match_info["id"])
        if batch is None:
            return _miss(request)
        if not await batch.cancel():
            return refuse(409, f"Cannot cancel a batch with status '{batch.shown['status']}'.")
        return web.json_response(batch.shown)


def _miss(request: web.Request) -> web.Response:
    return refuse(404, f"No batch found with id '{request.match_info['id']}'.", param="id")


def _check(body: dict[str, Any]) -> web.Response | None:
    if not isinstance(body.get("input_file_id"), str):
        return refuse(400, "Missing required parameter: 'input_file_id'.", param="input_file_id")
    for name, known in (("endpoint", ENDPOINTS), ("completion_window", WINDOWS)):
        if body.get(name) not in known:
            message = f"Invalid value: '{body.get(name)}'. Supported values are: {', '.join(known)}."
            return refuse(400, message, code="invalid_value", param=name)
    metadata = body.get("metadata") or {}
    fits = len(metadata) <= _METADATA_PAIRS and all(
        len(key) <= _METADATA_KEY and isinstance(value, str) and len(value) <= _METADATA_VALUE
        for key, value in metadata.items()
    )
    return None if fits else refuse(400, "Invalid 'metadata'.", code="invalid_value", param="metadata")
