"""The live client: any OpenAI-compatible base URL, as a configured `openai` SDK client describes it.

Example:
    client = LiveClient(AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="…"), timeout=300)
    body = await client.ask(request)
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from openai import AsyncOpenAI

from multifaceted.chat.faults import explain_body
from multifaceted.chat.policy import translate_refusal
from multifaceted.chat.transport import choose_transport
from multifaceted.chat.wire import WireForm
from multifaceted.errors import EndpointError, FatalEndpointError, RejectedRequestError
from multifaceted.records import Reply, Request

MAX_REWRITES = 8  # of one request; there are fewer things than this to learn of an endpoint


class LiveClient:
    """One endpoint and key. Safe to share between any number of rows.

    Args:
        sdk: the configured SDK client: URL, key, headers.
        timeout: seconds for one request.
    """

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float) -> None:
        self.base_url = str(sdk.base_url)
        # Called with the headers of every answer; limits are read from them.
        self.observe: Callable[[Mapping[str, str]], None] = lambda _: None
        self._api_key = "" if sdk.api_key == "none" else sdk.api_key  # a word of its own, no secret
        self._sdk = sdk
        self._transport = choose_transport(sdk, timeout=timeout)
        self._forms: dict[str, WireForm] = {}  # by model name: replicas differ by model, not by row

    def __repr__(self) -> str:
        return f"LiveClient({self.base_url!r})"

    async def ask(self, request: Request) -> str:
        """Send one request; where the endpoint refuses how it is written, write it differently once more."""
        form = self.form_of(request.model)
        for _ in range(MAX_REWRITES):
            body = form.body(request)
            answer = await self._transport.post(body)
            self.observe(answer.headers)
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                return answer.text
            error = translate_refusal(answer.status, answer.headers, answer.text, hide=self._api_key)
            if isinstance(error, FatalEndpointError):  # of several endpoints, which?
                raise self._name_self(error)
            if not isinstance(error, RejectedRequestError):
                raise error
            # Learned in the meantime from another row's refusal, or from this one's.
            if form.body(request) == body and not form.learn(error.message, body):
                raise error
        raise RejectedRequestError("the endpoint refuses every way of writing this request")

    def explain(self, body: str, reply: Reply | None) -> EndpointError:
        """What a body means that holds no reply, or one that the endpoint stopped in the middle of."""
        error = explain_body(body, reply=reply, hide=self._api_key)
        return self._name_self(error) if isinstance(error, FatalEndpointError) else error

    def form_of(self, model: str) -> WireForm:
        """How this endpoint wants requests to `model` written, as far as it is known."""
        return self._forms.setdefault(model, WireForm())

    def _name_self(self, error: EndpointError) -> FatalEndpointError:
        return FatalEndpointError(f"{self.base_url}: {error.message}", hint=error.hint)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()
        await self._sdk.close()
