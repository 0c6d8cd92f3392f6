"""The Batch API through the `openai` SDK: submit a file of requests, look after it, fetch what came of it.

Example:
    client = BatchClient(sdk)
    file_id = await client.upload(file)
    batch_id = await client.create(file_id, tag="5f0c…", window="24h", is_new=True)
    state = await client.poll(batch_id)          # until state.ended

Creating a batch is the one call that costs money when it is made twice, and an answer may be lost on its
way. So a batch carries a tag, and before one is created once more it is looked for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
import openai
from openai import AsyncOpenAI
from pydantic import ValidationError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from multifaceted.batch.state import BatchState, Named, Page, read_state
from multifaceted.chat.factory import configure_sdk
from multifaceted.chat.policy import translate_refusal
from multifaceted.errors import EndpointError, FatalEndpointError, TransientEndpointError
from multifaceted.models import Models

TAG = "multifaceted"  # the metadata key under which our batches are found again
ATTEMPTS = 8  # of one call; the batches themselves go on meanwhile
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"  # of every line, whatever the base URL
PAGE = 100  # batches in one page of the list
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
        self._sdk = sdk.with_options(max_retries=0)
        self._key = "" if sdk.api_key == "none" else sdk.api_key  # a word of its own, no secret
        self._sleep = sleep
        self._first_wait = first_wait

    def __repr__(self) -> str:
        return f"BatchClient({str(self._sdk.base_url)!r})"

    async def upload(self, file: Path) -> str:
        """Upload a file of requests; gives its id."""

        async def send() -> str:
            # What it answers is read by ourselves: the SDK takes any JSON for the object that was asked for.
            answer = await self._sdk.files.with_raw_response.create(file=file, purpose="batch")
            return Named.model_validate_json(answer.http_response.text).id

        return await self._persist(send)

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
            found = await self._find(tag) if sent else None  # which may go over years of batches
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
            return Named.model_validate_json(answer.http_response.text).id

        return await self._persist(find_or_create)

    async def poll(self, batch_id: str) -> BatchState | None:
        """How far a batch is; None where the endpoint knows of no such batch."""

        async def look() -> BatchState | None:
            try:
                answer = await self._sdk.batches.with_raw_response.retrieve(batch_id)
            except openai.NotFoundError:
                return None
            state = read_state(answer.http_response.text)
            return replace(state, fault=self.hide(state.fault))

        return await self._persist(look)

    async def download(self, file_id: str, path: Path) -> bool:
        """Fetch a file of results; it appears whole or not at all. False where there is no such file."""
        part = path.with_name(f"{path.name}.tmp")

        async def fetch() -> bool:
            try:
                async with self._sdk.files.with_streaming_response.content(file_id) as response:
                    await response.stream_to_file(part)
            except openai.NotFoundError:
                return False
            part.replace(path)
            return True

        return await self._persist(fetch)

    def hide(self, text: str) -> str:
        """An endpoint's words with the key blotted out, where it echoes it."""
        return text.replace(self._key, "***") if self._key else text

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _find(self, tag: str) -> str | None:
        after, page = "", await self._list("")
        while True:
            for batch in page.data:
                if (batch.metadata or {}).get(TAG) == tag:
                    return batch.id
            # A server that knows no pages gives the same one for ever.
            if not page.has_more or not page.data or page.data[-1].id == after:
                return None
            after = page.data[-1].id
            page = await self._list(after)

    async def _list(self, after: str) -> Page:
        answer = await self._sdk.batches.with_raw_response.list(limit=PAGE, after=after or openai.omit)
        return Page.model_validate_json(answer.http_response.text)

    async def _persist(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=self._first_wait, max=60, jitter=self._first_wait),
            retry=retry_if_exception_type(TransientEndpointError),
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return await retrying(self._translate, call)
        except TransientEndpointError as error:
            raise TransientEndpointError(error.message, kind=error.kind, hint=AGAIN) from error

    async def _translate(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            return await call()
        except openai.APIStatusError as error:
            response = error.response
            text = response.text if response.is_closed else ""
            refused = translate_refusal(response.status_code, response.headers, text, hide=self._key)
            raise _as_run_error(refused) from error
        except openai.APIConnectionError as error:
            raise TransientEndpointError(str(error), kind="connection") from error
        except httpx2.HTTPError as error:
            raise TransientEndpointError(f"the transfer broke: {error}", kind="connection") from error
        except ValidationError as error:
            message = "the answer is none that the Batch API would give"
            raise TransientEndpointError(message, kind="garbage") from error


def _as_run_error(error: EndpointError) -> EndpointError:
    """A refused call is no matter of a single row: what will not pass stops the run."""
    if isinstance(error, TransientEndpointError | FatalEndpointError):
        return error
    return FatalEndpointError(
        error.message, hint="does this endpoint have the Batch API? else use mode: live"
    )


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
