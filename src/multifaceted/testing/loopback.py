"""What the public servers share: one loopback port, served from a thread of its own.

Example:
    class EchoServer(LoopbackServer):
        def _make_app(self) -> web.Application: ...
"""

import asyncio
import threading
from types import TracebackType
from typing import Self

from aiohttp import web


class LoopbackServer:
    """Serves an application for as long as its `with` block lasts.

    Args:
        port: to serve on; 0 takes a free one, and `port` then says which.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._make_app(), access_log=None, shutdown_timeout=0)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):  # answers that would hang for longer than the server
            task.cancel()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    def _make_app(self) -> web.Application:
        raise NotImplementedError
