"""Calls that block until long work is done, from scripts and from notebooks alike, and that Ctrl-C can end.

Example:
    session = Session(progress=None)
    session.call(lambda: asyncio.run(work(session)))     # `work` holds `async with session.watch(control)`
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from multifaceted.ask.control import RunControl
from multifaceted.errors import InterruptedRunError
from multifaceted.terminal import show
from multifaceted.terminal.progress import Progress, watch

T = TypeVar("T")


class Session:
    """One call of long work.

    Where an event loop is running already, as in a notebook, the work goes to a thread of its own. Ctrl-C
    once lets what is in flight come in and stops; twice stops at once.

    Args:
        progress: None shows it on stderr, False nowhere; a function gets a `Snapshot` every few seconds.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._interrupt: Callable[[], object] | None = None  # from any thread
        self._interrupted = False  # before there was anything to interrupt

    @asynccontextmanager
    async def watch(self, control: RunControl) -> AsyncIterator[None]:
        """Show how far it is, and heed Ctrl-C, for as long as the block lasts."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            show.say("stopping: waiting for what is in flight; Ctrl-C again stops at once")
            control.stop()

        def interrupt() -> None:
            if control.stopping and task is not None:
                task.cancel()
            else:
                stop()

        self._interrupt = partial(loop.call_soon_threadsafe, interrupt)
        if self._interrupted:
            stop()
        with control.heed_signals(interrupt):
            async with watch(control, self._progress):
                yield

    def call(self, work: Callable[[], T]) -> T:
        """Do the work to its end, and return what it returns.

        Raises:
            InterruptedRunError: where it was interrupted; what it had is saved.
        """
        try:
            return self._call_in_thread(work) if _is_loop_running() else work()
        except asyncio.CancelledError as error:
            raise InterruptedRunError("the run was stopped at once") from error

    def _call_in_thread(self, work: Callable[[], T]) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits
                done.set_exception(error)

        threading.Thread(target=run, name="multifaceted", daemon=True).start()
        while True:
            try:
                return done.result()
            except KeyboardInterrupt:
                if done.done():
                    raise
                self._interrupted = True
                if self._interrupt is not None:
                    self._interrupt()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
