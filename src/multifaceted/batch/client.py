"""The Batch API through the `openai` SDK: submit a file of requests, look after it, fetch what came of it.

Example:
    client = BatchClient(sdk)
    file_id = await client.upload(file)
    batch_id = await client.create(file_id, tag="5f0c…", window="24h", is_new=True)
    state = await client.poll(batch_id)          # until state.ended

Creating a batch is the one call that costs money when it is made twice, and an answer may be lost on its
way. So a batch carries a tag, and before one is created once more it is looked for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
import openai
from openai import AsyncOpenAI
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from multifaceted.batch.bounded import Bound, TooLargeError
from multifaceted.batch.state import BatchState, Page, read_id, read_page, read_state
from multifaceted.chat.factory import configure_sdk
from multifaceted.chat.policy import translate_refusal
from multifaceted.credentials import blot, blot_file, hold_headers
from multifaceted.errors import EndpointError, FatalEndpointError, TransientEndpointError
from multifaceted.models import Models

TAG = "multifaceted"  # the metadata key under which our batches are found again
ATTEMPTS = 8  # of one call; the batches themselves go on meanwhile
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"  # of every line, whatever the base URL
PAGE = 100  # batches in one page of the list
CALL_SECONDS = 120.0  # for an answer that is not a file, however slowly it comes
TRANSFER_SECONDS = 3600.0  # for a file, up or down
# Said of results that are being written, by one endpoint or another. What else an endpoint refuses is fatal.
NOT_READY = (400, 404, 409, 410, 412, 416, 422, 423, 425)
NO_BATCH_API = "does this endpoint have the Batch API? else use mode: live"
TOO_LARGE = "replies to the requests of this batch cannot be so large; ask whoever runs the endpoint"
AGAIN = "batches that were submitted go on by themselves: run again later, and it goes on from here"

_Answer = TypeVar("_Answer")
Sleep = Callable[[float], Awaitable[None]]


class BatchClient:
    """Batches at one endpoint.

    Args:
        sdk: the configured SDK client.
        sleep: waits between two tries of a call; may end early, when the run stops.
        first_wait: seconds before the second try.
    """

    def __init__(self, sdk: AsyncOpenAI, *, sleep: Sleep, first_wait: float = 1.0) -> None:
        # Its own retries would create a batch twice; ours look first.
        self._sdk = sdk.with_options(max_retries=0, timeout=CALL_SECONDS)
        self._bound = Bound(self._sdk)
        hold_headers({**sdk.default_headers, **sdk.auth_headers})
        self._sleep = sleep
        self._first_wait = first_wait

    def __repr__(self) -> str:
        return f"BatchClient({str(self._sdk.base_url)!r})"

    async def upload(self, file: Path) -> str:
        """Upload a file of requests; gives its id."""

        async def send() -> str:
            # What it answers is read by ourselves: the SDK takes any JSON for the object that was asked for.
            answer = await self._sdk.files.with_raw_response.create(file=file, purpose="batch")
            return read_id(answer.http_response.text)

        return await self._persist(send, seconds=TRANSFER_SECONDS)

    async def create(self, file_id: str, *, tag: str, window: str, is_new: bool) -> str:
        """Create a batch from an uploaded file, or find the one that carries its tag; gives its id.

        Args:
            file_id: of the input.
            tag: of this batch alone.
            window: within which it should be completed, such as `24h`.
            is_new: no batch can carry the tag yet, for it was never sent.
        """
        sent = not is_new

        async def find_or_create() -> str:
            nonlocal sent
            found = await self._find(tag, file_id) if sent else None  # which may go over years of batches
            if found is not None:
                return found
            sent = True
            # The window is a choice of the endpoint's; OpenAI itself has only this one.
            answer = await self._sdk.batches.with_raw_response.create(
                completion_window=window,  # type: ignore[arg-type]
                endpoint=ENDPOINT,
                input_file_id=file_id,
                metadata={TAG: tag},
            )
            return read_id(answer.http_response.text)

        return await self._persist(find_or_create)

    async def poll(self, batch_id: str) -> BatchState | None:
        """Return how far a batch is; None where the endpoint knows of no such batch."""

        async def look() -> BatchState | None:
            try:
                answer = await self._sdk.batches.with_raw_response.retrieve(batch_id)
            except openai.NotFoundError:
                return None
            state = read_state(answer.http_response.text)
            return replace(state, fault=blot(state.fault))

        return await self._persist(look)

    async def download(self, file_id: str, path: Path, *, most: int) -> str:
        """Fetch a file of results; it appears whole or not at all.

        Args:
            file_id: of the file.
            path: where it goes.
            most: bytes that it may have.

        Returns:
            Why it cannot be read yet, in the endpoint's words; empty where it is there.

        Raises:
            EndpointError: where it is larger, or where the endpoint refuses us for good.
        """
        part = path.with_name(f"{path.name}.tmp")

        async def fetch() -> str:
            try:
                with self._bound.at_most(most):
                    async with self._sdk.files.with_streaming_response.content(file_id) as response:
                        await response.stream_to_file(part)
            except openai.APIStatusError as error:
                if error.response.status_code not in NOT_READY:
                    raise
                return self._read_refusal(error).message
            except TooLargeError as error:
                message = f"the results in file {file_id} are larger than {most:,} bytes"
                raise FatalEndpointError(message, hint=TOO_LARGE) from error
            blot_file(part)
            part.replace(path)
            return ""

        return await self._persist(fetch, seconds=TRANSFER_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _find(self, tag: str, file_id: str) -> str | None:
        """Return the batch that carries a tag; or is made of our file, for some servers keep no metadata."""
        after, page = "", await self._list("")
        while True:
            for batch in page.batches:
                if batch.metadata.get(TAG) == tag or batch.input_file_id == file_id:
                    return batch.id
            # A server that knows no pages gives the same one for ever.
            if not page.has_more or not page.batches or page.batches[-1].id == after:
                return None
            after = page.batches[-1].id
            page = await self._list(after)

    async def _list(self, after: str) -> Page:
        answer = await self._sdk.batches.with_raw_response.list(limit=PAGE, after=after or openai.omit)
        return read_page(answer.http_response.text)

    async def _persist(
        self, call: Callable[[], Awaitable[_Answer]], *, seconds: float = CALL_SECONDS
    ) -> _Answer:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=self._first_wait, max=60, jitter=self._first_wait),
            retry=retry_if_exception_type(TransientEndpointError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(self._translate, call, seconds)
        except TransientEndpointError as error:
            raise TransientEndpointError(error.message, kind=error.kind, hint=AGAIN) from error

    async def _translate(self, call: Callable[[], Awaitable[_Answer]], seconds: float) -> _Answer:
        try:
            # The SDK's own timeouts run between two pieces of an answer; this one bounds the whole.
            async with asyncio.timeout(seconds):
                return await call()
        except TimeoutError as error:
            raise TransientEndpointError("no answer in time", kind="timeout") from error
        except openai.APIStatusError as error:
            raise _as_run_error(self._read_refusal(error)) from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, EndpointError):
                raise error.__cause__ from error
            raise TransientEndpointError(str(error.__cause__ or error), kind="connection") from error
        except httpx2.HTTPError as error:
            raise TransientEndpointError(f"the transfer broke: {error}", kind="connection") from error
        except TransientEndpointError:
            raise
        except EndpointError as error:
            raise FatalEndpointError(error.message, hint=error.hint or NO_BATCH_API) from error

    def _read_refusal(self, error: openai.APIStatusError) -> EndpointError:
        response = error.response
        text = response.text if response.is_closed else ""
        return translate_refusal(response.status_code, response.headers, text)


def _as_run_error(error: EndpointError) -> EndpointError:
    """Return a refused call is no matter of a single row: what will not pass stops the run."""
    if isinstance(error, TransientEndpointError | FatalEndpointError):
        return error
    return FatalEndpointError(error.message, hint=NO_BATCH_API)


@asynccontextmanager
async def open_clients(models: Models, *, sleep: Sleep) -> AsyncIterator[dict[str, BatchClient]]:
    """Open a client of the Batch API for each base URL.

    Raises:
        SetupError: where a key is missing, or the environment names a proxy that cannot be used.
    """
    async with AsyncExitStack() as stack:
        clients: dict[str, BatchClient] = {}
        for model in models.values():
            for endpoint in model.served_at:
                if endpoint.base_url not in clients:
                    client = BatchClient(configure_sdk(endpoint), sleep=sleep, first_wait=model.retry_wait)
                    stack.push_async_callback(client.close)
                    clients[endpoint.base_url] = client
        yield clients
