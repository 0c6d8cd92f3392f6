"""The embedded model: llama.cpp's own server in a child process, reached like any other endpoint.

    async with serve_weights(model) as base_url: ...

A child process, because the native library ends the whole process where the processor or the file is not
what it expects. The child ends with us, however we end: it reads its standard input until that closes.
"""

import asyncio
import importlib.util
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import IO

from multifaceted.chat.weights import find_weights, name_weights
from multifaceted.errors import SetupError
from multifaceted.extras import install_command
from multifaceted.models import EndpointSpec, LocalModel

START_TIMEOUT = 300  # seconds; large weights on a slow disk take their time
SLOTS = 1  # requests answered at a time


class LocalBackend:
    """Serves local weights while they are asked."""

    names_itself = False  # llama.cpp names the path of its file

    def name(self, model: LocalModel) -> str:
        """Return the name of the weights, which holds their hash."""
        return name_weights(find_weights(model.weights))

    @asynccontextmanager
    async def serve(self, model: LocalModel, *, concurrency: int) -> AsyncIterator[tuple[EndpointSpec, ...]]:
        """Start the server; it is gone after the block."""
        async with serve_weights(model) as url:
            # One request waits while another is answered; more would count the server's queue as silence.
            yield (EndpointSpec(base_url=url, concurrency=min(concurrency, SLOTS + 1)),)


@asynccontextmanager
async def serve_weights(model: LocalModel) -> AsyncIterator[str]:
    """Serve a recipe's local weights for as long as the block lasts; gives the base URL.

    Raises:
        SetupError: where the extra, the weights, a library or a fitting processor is missing.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise SetupError(
            "the embedded model needs the extra `local`", hint=f"run: {install_command('local')}"
        )
    weights = str(find_weights(model.weights))
    settings = {
        "model": weights,
        "context": model.context,
        "slots": SLOTS,
        "threads": model.threads or max(1, (os.cpu_count() or 2) - 1),
        "batch_threads": model.threads or os.cpu_count() or 1,  # prompts gain from all cores, and are short
    }
    command = [sys.executable, "-m", "multifaceted.chat.local_server", json.dumps(settings)]
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is ours to handle: what is in flight must still be answered
        )
        try:
            yield f"{await _read_url(process, weights, errors)}/v1"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _read_url(process: Process, weights: str, errors: IO[bytes]) -> str:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline()
    except TimeoutError:
        raise SetupError(f"the embedded model did not start within {START_TIMEOUT} s") from None
    answer = json.loads(line) if line else {}
    if "url" in answer:
        return str(answer["url"])
    code = await process.wait()
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    raise explain_failure(code, str(answer.get("error", "")), said[-1] if said else "", weights)


def explain_failure(code: int, error: str, said: str, weights: str) -> SetupError:
    """Return why the child process serves nothing: its exit code, its exception and its last words."""
    if code == -signal.SIGILL:
        return SetupError(
            "this processor cannot run the embedded model: it lacks AVX2",
            hint="name an endpoint in the recipe instead, as model.base_url and model.name",
        )
    if "libgomp" in error:
        return SetupError(
            "the embedded model needs the OpenMP runtime libgomp.so.1",
            hint="install it with the system's package manager, such as: apt-get install libgomp1",
        )
    if error.startswith("ImportError"):
        return SetupError(
            f"the extra `local` cannot be loaded: {error}", hint=f"run: {install_command('local')}"
        )
    return SetupError(
        f"the embedded model cannot be loaded from {weights}: {said or error or f'exit code {code}'}",
        hint="is it a whole GGUF file that llama.cpp knows?",
    )
