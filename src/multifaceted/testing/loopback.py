"""What the public servers share: one loopback port, served from a thread of its own.

Example:
    class EchoServer(LoopbackServer):
        def _make_app(self) -> web.Application: ...
"""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Self

from aiohttp import web


class LoopbackServer:
    """Serves an application for as long as its `with` block lasts.

    Args:
        port: to serve on; 0 takes a free one, and `port` then says which.

    Raises:
        OSError: where the block begins, if the port cannot be had.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.statuses: Counter[int] = Counter()  # of answers; connections dropped without one are none
        self._loop = asyncio.new_event_loop()
        self._started: Future[int] = Future()  # gives the port
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.port = self._started.result()
        except OSError as error:
            self._thread.join()
            reason = os.strerror(error.errno) if error.errno else str(error)
            message = f"cannot serve on 127.0.0.1:{self.port}: {reason}; port 0 takes a free one"
            raise OSError(error.errno, message) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            runner = self._loop.run_until_complete(self._start())
        except Exception as error:  # noqa: BLE001 - raised again where the block begins
            self._loop.close()
            self._started.set_exception(error)
            return
        self._started.set_result(runner.addresses[0][1])
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):  # answers that would hang for longer than the server
            task.cancel()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _start(self) -> web.AppRunner:
        app = self._make_app()
        app.on_response_prepare.append(self._count)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self.port).start()
        except BaseException:
            await runner.cleanup()
            raise
        return runner

    async def _count(self, request: web.Request, response: web.StreamResponse) -> None:
        if request.transport is not None and not request.transport.is_closing():
            self.statuses[response.status] += 1

    def _make_app(self) -> web.Application:
        raise NotImplementedError


async def break_off(
    request: web.Request, content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Send half of an answer, and close the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
