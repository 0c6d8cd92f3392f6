"""The live client: the `openai` SDK against any OpenAI-compatible base URL.

    client = LiveClient("http://127.0.0.1:8000/v1", api_key="…", timeout=300)
    body = await client.ask(request)

The SDK's low-level `post` over its aiohttp transport costs a third of `chat.completions.create`, and hands
us the body as it came, which is what the journal must keep.
"""

import asyncio

import openai
from openai import AsyncOpenAI, DefaultAioHttpClient

from multifaceted.chat.policy import translate_status
from multifaceted.chat.wire import WireForm
from multifaceted.errors import FatalEndpointError, RejectedRequestError, TransientEndpointError
from multifaceted.records import Request

MAX_UNANSWERED = 3  # failed connections before the first answer, after which there is no server to wait for
MAX_REWRITES = 8  # of one request; there are fewer things than this to learn of an endpoint


class LiveClient:
    """One endpoint and key. Safe to share between any number of rows."""

    def __init__(self, base_url: str, *, api_key: str, timeout: float, connections: int = 1000) -> None:
        self.base_url = base_url
        self._api_key = api_key
        self._timeout = timeout
        limits = openai.DEFAULT_CONNECTION_LIMITS
        self._sdk = AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",  # the SDK wants one; servers without keys ignore it
            max_retries=0,
            timeout=timeout,
            http_client=DefaultAioHttpClient(
                timeout=timeout,
                limits=type(limits)(max_connections=connections, max_keepalive_connections=connections),
            ),
        )
        self._forms: dict[str, WireForm] = {}  # by model name: replicas differ by model, not by row
        self._answered = False
        self._unanswered = 0

    def __repr__(self) -> str:
        return f"LiveClient({self.base_url!r})"

    async def ask(self, request: Request) -> str:
        """Send one request; where the endpoint refuses how it is written, write it differently once more."""
        form = self._forms.setdefault(request.model, WireForm())
        for _ in range(MAX_REWRITES):
            body = form.body(request)
            try:
                return await self._post(body)
            except RejectedRequestError as error:
                # Learned in the meantime from another row's refusal, or from this one's.
                if form.body(request) != body or form.learn(error.message, body):
                    continue
                raise
        raise RejectedRequestError("the endpoint refuses every way of writing this request")

    async def close(self) -> None:
        """Close the connections."""
        await self._sdk.close()

    async def _post(self, body: dict[str, object]) -> str:
        try:
            # The transport's own timeouts run between two pieces of a body; this one bounds the whole.
            async with asyncio.timeout(self._timeout):
                text = await self._sdk.post("/chat/completions", body=body, cast_to=str)
        except TimeoutError as error:
            raise TransientEndpointError("no answer in time", kind="timeout") from error
        except openai.APIConnectionError as error:
            raise self._explain_connection(error) from error
        except openai.APIStatusError as error:
            self._answered = True
            raise translate_status(error, hide=self._api_key) from error
        except UnicodeDecodeError as error:
            raise TransientEndpointError("the body is no text", kind="garbage") from error
        self._answered = True
        return text

    def _explain_connection(
        self, error: openai.APIConnectionError
    ) -> TransientEndpointError | FatalEndpointError:
        causes = _causes_of(error)
        # The aiohttp transport reports refused and broken connections as timeouts too; the cause tells.
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return TransientEndpointError("no answer in time", kind="timeout")
        reason = str(causes[-1]) or type(causes[-1]).__name__
        self._unanswered += 1
        if self._answered or self._unanswered < MAX_UNANSWERED:
            return TransientEndpointError(reason, kind="connection")
        return FatalEndpointError(
            f"no server answers at {self.base_url}: {reason}",
            hint="start the server, or correct model.base_url in the recipe",
        )


def _causes_of(error: BaseException) -> list[BaseException]:
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    return causes
