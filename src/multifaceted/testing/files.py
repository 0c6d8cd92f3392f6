"""The Files API: what batches read and write, kept in memory.

Example:
    POST /v1/files (multipart: purpose=batch, file=…) -> {"id": "file-…", "object": "file", "bytes": 123, …}
"""

import time
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from multifaceted.testing.loopback import break_off
from multifaceted.testing.wire import fail, new_id, refuse, send_page

DAYS_KEPT = 30


class UploadHost(Protocol):
    """The server, as far as uploads are concerned."""

    upload_errors: int


@dataclass
class ContentFaults:
    """How often a file's content is still to fail, in this order; and how much it lacks then."""

    errors: int = 0
    status: int = 500
    empty: int = 0
    drops: int = 0
    cuts: int = 0
    short_lines: int = 0
    short_for: int | None = None  # None for ever

    def take(self, name: str) -> bool:
        """Return whether this one happens now; counts down."""
        left = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return bool(left)

    def shorten(self, content: bytes) -> bytes:
        """Return the content as it is sent when nothing else fails."""
        if not self.short_lines or self.short_for == 0:
            return content
        self.short_for = None if self.short_for is None else self.short_for - 1
        return b"".join(content.splitlines(keepends=True)[: -self.short_lines])


@dataclass
class StoredFile:
    """One file: its object, its bytes, and what fails when they are asked for."""

    shown: dict[str, Any]
    content: bytes
    faults: ContentFaults


class FileStore:
    """All files of one server, and the handlers of `/v1/files`."""

    def __init__(self, host: UploadHost) -> None:
        self._host = host
        self._files: dict[str, StoredFile] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the paths served here."""
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files", self._list),
            web.get("/v1/files/{id}", self._show),
            web.get("/v1/files/{id}/content", self._send_content),
            web.delete("/v1/files/{id}", self._delete),
        ]

    def add(self, content: bytes, *, purpose: str, filename: str, faults: ContentFaults | None = None) -> str:
        """Keep a file and give its id."""
        now = int(time.time())
        shown: dict[str, Any] = {
            "id": new_id("file-"),
            "object": "file",
            "bytes": len(content),
            "created_at": now,
            "expires_at": now + DAYS_KEPT * 86_400,
            "filename": filename,
            "purpose": purpose,
            "status": "processed",
            "status_details": None,
        }
        self._files[shown["id"]] = StoredFile(shown, content, faults or ContentFaults())
        return str(shown["id"])

    def read(self, file_id: str) -> bytes | None:
        """Return a file's bytes; None where there is no such file."""
        stored = self._files.get(file_id)
        return None if stored is None else stored.content

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self._host.upload_errors > 0:
            self._host.upload_errors -= 1
            return fail()
        field = form.get("file")
        if not isinstance(field, web.FileField):
            return refuse(400, "Missing required parameter: 'file'.", param="file")
        if form.get("purpose") != "batch":
            return refuse(400, "Invalid 'purpose': this server keeps files for 'batch'.", param="purpose")
        file_id = self.add(field.file.read(), purpose="batch", filename=field.filename)
        return web.json_response(self._files[file_id].shown)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        shown = [stored.shown for stored in self._files.values()]
        if query.get("order") != "asc":
            shown.reverse()
        wanted = [entry for entry in shown if query.get("purpose") in (None, entry["purpose"])]
        return send_page(wanted, query, usual=10_000, most=10_000)

    async def _show(self, request: web.Request) -> web.Response:
        stored = self._files.get(request.match_info["id"])
        return _miss(request) if stored is None else web.json_response(stored.shown)

    async def _delete(self, request: web.Request) -> web.Response:
        stored = self._files.pop(request.match_info["id"], None)
        if stored is None:
            return _miss(request)
        return web.json_response({"id": stored.shown["id"], "object": "file", "deleted": True})

    async def _send_content(self, request: web.Request) -> web.StreamResponse:
        stored = self._files.get(request.match_info["id"])
        if stored is None:
            return _miss(request)
        faults = stored.faults
        if faults.take("errors"):
            return fail(faults.status)
        if faults.take("empty"):
            return web.Response(content_type="application/octet-stream")
        if faults.take("drops"):
            return await break_off(request, stored.content)
        if faults.take("cuts"):
            return await _cut_short(request, stored.content)
        return web.Response(body=faults.shorten(stored.content), content_type="application/octet-stream")


async def _cut_short(request: web.Request, content: bytes) -> web.StreamResponse:
    """Send half, whose end is the end of the connection: nothing tells it from a whole one."""
    response = web.StreamResponse(headers={"Connection": "close"})
    response.force_close()
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    return response


def _miss(request: web.Request) -> web.Response:
    return refuse(404, f"No such File object: {request.match_info['id']}", param="id")
