"""The Batch API through the `openai` SDK: submit a file of requests, look after it, fetch what came of it.

Example:
    client = BatchClient(sdk)
    batch_id = await client.submit(file, tag="5f0c…-0001")
    state = await client.poll(batch_id)          # until state.ended

Creating a batch is the one call that costs money when it is made twice, and an answer may be lost on its
way. So a batch carries a tag, and before one is created again it is looked for.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
import openai
from openai import AsyncOpenAI
from openai.types import Batch
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from multifaceted.chat.policy import NO_CREDIT, QUOTA_CODES, translate_refusal
from multifaceted.errors import EndpointError, FatalEndpointError, TransientEndpointError

logger = logging.getLogger(__name__)

TAG = "multifaceted"  # the metadata key under which our batches are found again
ENDED = ("completed", "failed", "expired", "cancelled")
ATTEMPTS = 8  # of one call; the batches themselves go on meanwhile
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"  # of every line, whatever the base URL
PAGE = 100  # batches in one page of the list
FULL_QUEUE_CODES = ("token_limit_exceeded",)  # said of a batch that must wait for others to end

_Answer = TypeVar("_Answer")
Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class BatchState:
    """A batch as the endpoint tells of it."""

    id: str
    status: str
    done: int  # requests
    total: int
    files: tuple[str, ...]  # ids of the files with results, good and bad
    fault: str  # why it failed as a whole; empty where it did not
    queue_is_full: bool  # it failed only because too much is queued

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ENDED


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
        self._key = sdk.api_key
        self._sleep = sleep
        self._first_wait = first_wait

    async def upload(self, file: Path) -> str:
        """Upload a file of requests; gives its id."""
        uploaded = await self._persist(lambda: self._sdk.files.create(file=file, purpose="batch"))
        return uploaded.id

    async def create(self, file_id: str, *, tag: str, window: str) -> str:
        """Create a batch from an uploaded file, or find the one that carries its tag; gives its id."""

        async def find_or_create() -> Batch:
            found = await self._find(tag)
            if found is not None:
                return found
            # The window is a choice of the endpoint's; OpenAI itself has only this one.
            return await self._sdk.batches.create(
                completion_window=window,  # type: ignore[arg-type]
                endpoint=ENDPOINT,
                input_file_id=file_id,
                metadata={TAG: tag},
            )

        return (await self._persist(find_or_create)).id

    async def poll(self, batch_id: str) -> BatchState:
        """How far a batch is."""
        return read_state(await self._persist(lambda: self._sdk.batches.retrieve(batch_id)))

    async def download(self, file_id: str, path: Path) -> None:
        """Fetch a file of results; it appears whole or not at all."""
        part = path.with_name(f"{path.name}.tmp")

        async def fetch() -> None:
            async with self._sdk.files.with_streaming_response.content(file_id) as response:
                await response.stream_to_file(part)

        await self._persist(fetch)
        part.replace(path)

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _find(self, tag: str) -> Batch | None:
        async for batch in self._sdk.batches.list(limit=PAGE):
            if (batch.metadata or {}).get(TAG) == tag:
                return batch
        return None

    async def _persist(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=self._first_wait, max=60, jitter=self._first_wait),
            retry=retry_if_exception_type(TransientEndpointError),
            sleep=self._sleep,
            reraise=True,
        )
        return await retrying(self._translate, call)

    async def _translate(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            return await call()
        except openai.APIStatusError as error:
            response = error.response
            text = response.text if response.is_closed else ""
            refused = translate_refusal(response.status_code, response.headers, text, hide=self._key)
            raise _as_run_error(refused) from error
        except (openai.APIConnectionError, openai.APIResponseValidationError, OSError) as error:
            raise TransientEndpointError(str(error), kind="connection") from error
        except httpx2.HTTPError as error:
            raise TransientEndpointError(f"the transfer broke: {error}", kind="connection") from error


def read_state(batch: Batch) -> BatchState:
    """What matters of the SDK's batch."""
    counts, errors = batch.request_counts, batch.errors.data or [] if batch.errors else []
    codes = [error.code or "" for error in errors]
    if any(code in QUOTA_CODES for code in codes):
        raise FatalEndpointError("the batch was refused", hint=NO_CREDIT)
    words = "; ".join(f"{error.code}: {error.message}" for error in errors)
    return BatchState(
        id=batch.id,
        status=batch.status,
        done=counts.completed + counts.failed if counts else 0,
        total=counts.total if counts else 0,
        files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
        fault=(words or "no reason given") if batch.status == "failed" else "",
        queue_is_full=batch.status == "failed" and any(code in FULL_QUEUE_CODES for code in codes),
    )


def _as_run_error(error: EndpointError) -> EndpointError:
    """A refused call is no matter of a single row: what will not pass stops the run."""
    if isinstance(error, TransientEndpointError | FatalEndpointError):
        return error
    return FatalEndpointError(
        error.message, hint="does this endpoint have the Batch API? else use mode: live"
    )
