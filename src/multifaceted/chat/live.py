"""The live client: any OpenAI-compatible base URL, as a configured `openai` SDK client describes it.

Example:
    client = LiveClient(AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="…"), timeout=300)
    body = await client.ask(request)
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from openai import AsyncOpenAI

from multifaceted.chat.body_errors import explain_body
from multifaceted.chat.capabilities import Attempt, Capabilities
from multifaceted.chat.error_body import find_error
from multifaceted.chat.events import read_body
from multifaceted.chat.policy import translate_refusal
from multifaceted.chat.refusal import read_refusal
from multifaceted.chat.transport import HttpAnswer, choose_transport
from multifaceted.errors import EndpointError, FatalEndpointError, RejectedRequestError
from multifaceted.records import Reply, Request


class LiveClient:
    """One endpoint and key. Safe to share between any number of rows.

    Args:
        sdk: the configured SDK client: URL, key, headers.
        timeout: seconds for one request.
        direct: go past every proxy that the environment names.
    """

    def __init__(self, sdk: AsyncOpenAI, *, timeout: float, direct: bool = False) -> None:
        self.base_url = str(sdk.base_url)
        # Called with the headers of every answer; limits are read from them.
        self.observe: Callable[[Mapping[str, str]], None] = lambda _: None
        self._api_key = "" if sdk.api_key == "none" else sdk.api_key  # a word of its own, no secret
        self._sdk = sdk
        self._transport = choose_transport(sdk, timeout=timeout, direct=direct)
        self._capabilities: dict[str, Capabilities] = {}  # by model name
        self._limited: dict[str, int] = {}  # by request key: fewer tokens than the recipe's were asked for

    def __repr__(self) -> str:
        return f"LiveClient({self.base_url!r})"

    async def ask(self, request: Request) -> str:
        """Send one request; where the endpoint refuses how it is written, write it differently and see."""
        attempt = Attempt(self.capabilities_of(request.model), request)
        while True:
            answer = await self._transport.post(attempt.body)
            self.observe(answer.headers)
            if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                refused = _find_refusal(answer.text)
                if refused and attempt.rewrite(refused, answer.text):
                    continue
                if not refused:
                    attempt.succeed()
                if attempt.max_tokens is not None and attempt.max_tokens != request.max_tokens:
                    self._limited[request.key] = attempt.max_tokens
                return answer.text
            if not attempt.rewrite(answer.status, answer.text):
                raise self._explain(answer, attempt)

    def explain(self, body: str, reply: Reply | None) -> EndpointError:
        """Return what a body means that holds no reply, or one that the endpoint stopped in the middle of."""
        error = explain_body(body, reply=reply)
        if isinstance(error, RejectedRequestError) and error.kind == "request_rejected":
            refusal = read_refusal(body)
            error.cause = "" if refusal.is_too_long else refusal.cause
        return self._name_self(error) if isinstance(error, FatalEndpointError) else error

    def capabilities_of(self, model: str) -> Capabilities:
        """Return how this endpoint wants requests to `model` written, as far as it is known."""
        return self._capabilities.setdefault(model, Capabilities(self.base_url, model))

    def take_max_tokens(self, request: Request) -> int | None:
        """The `max_tokens` with which an answered request was sent: the recipe's, or fewer; tells it once."""
        return self._limited.pop(request.key, request.max_tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()
        await self._sdk.close()

    def _explain(self, answer: HttpAnswer, attempt: Attempt) -> EndpointError:
        """Return the error for an answer, with what people need to know to mend it."""
        error = translate_refusal(answer.status, answer.headers, answer.text)
        if isinstance(error, FatalEndpointError):  # of several endpoints, which?
            return self._name_self(error)
        if isinstance(error, RejectedRequestError):
            own = attempt.name_own()
            if own:
                error = RejectedRequestError(
                    f"{error.message} (extra_body of the recipe sends {', '.join(own)})", kind=error.kind
                )
            error.cause = attempt.describe_refusal(answer.status) if error.kind == "request_rejected" else ""
        return error

    def _name_self(self, error: EndpointError) -> FatalEndpointError:
        return FatalEndpointError(f"{self.base_url}: {error.message}", hint=error.hint)


def _find_refusal(body: str) -> int:
    """Return the status of a refusal that came with status 200; 0 where the body is none."""
    if '"choices"' in body or "error" not in body:  # nearly all bodies, and they are long
        return 0
    data = read_body(body)
    fault = None if data is None else find_error(data)
    return 0 if fault is None else fault.status
