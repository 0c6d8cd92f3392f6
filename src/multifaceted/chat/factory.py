"""From what a recipe says of models to endpoint pools and the names that go into requests.

Two labels whose models are the same at the same endpoints share one pool, and so its connections and limits.
A further kind of model needs a backend here, and nothing else above its own description.
"""

import os
from collections.abc import AsyncIterator, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from multifaceted.chat.limited_endpoint import REQUESTS_HELD, TOKENS_HELD, LimitedEndpoint
from multifaceted.chat.limits import Pace
from multifaceted.chat.live import LiveClient
from multifaceted.chat.local import LocalBackend
from multifaceted.chat.pool import EndpointPool
from multifaceted.chat.trust import open_trust
from multifaceted.credentials import hold_secret
from multifaceted.errors import SetupError
from multifaceted.models import EndpointModel, EndpointSpec, Model, Models
from multifaceted.proxies import find_proxy, is_loopback


class Backend(Protocol):
    """How models of one kind are reached."""

    names_itself: bool  # whether the name in a reply may be more exact than the one that was asked for

    def name(self, model: Any) -> str:
        """Return how requests name the model.

        Raises:
            SetupError: where it is not there.
        """
        ...

    def serve(self, model: Any, *, concurrency: int) -> AbstractAsyncContextManager[tuple[EndpointSpec, ...]]:
        """Return where it is reached, for as long as the block lasts.

        Raises:
            SetupError: where it cannot be started.
        """
        ...


class EndpointBackend:
    """Others serve the model."""

    names_itself = True

    def name(self, model: EndpointModel) -> str:
        """As the recipe names it."""
        return model.name

    @asynccontextmanager
    async def serve(
        self, model: EndpointModel, *, concurrency: int
    ) -> AsyncIterator[tuple[EndpointSpec, ...]]:
        """The endpoints of the recipe."""
        del concurrency
        yield model.served_at


BACKENDS: dict[str, Backend] = {"endpoint": EndpointBackend(), "local": LocalBackend()}  # by kind of model


def name_models(models: Models) -> dict[str, str]:
    """Return the model name of each label's requests; that of local weights holds their hash.

    Raises:
        SetupError: where local weights are not there.
    """
    return {label: BACKENDS[model.kind].name(model) for label, model in models.items()}


def read_key(endpoint: EndpointSpec) -> str:
    """Return the API key from the environment; an endpoint on this machine may do without.

    Without `api_key_env` no key goes anywhere but OpenAI's key to OpenAI.

    Raises:
        SetupError: where the variable is not named or not set and the endpoint is elsewhere.
    """
    host, variable = urlsplit(endpoint.base_url).hostname or "", name_key_variable(endpoint)
    key = os.environ.get(variable, "") if variable else ""
    hold_secret(key)
    if key or is_loopback(host):
        return key
    if not variable:
        hint = "name the variable that holds the key as api_key_env in the recipe"
        raise SetupError(f"{endpoint.base_url} needs a key, and the recipe names none", hint=hint)
    hint = f"export {variable}=…, or name another variable as api_key_env in the recipe"
    raise SetupError(f"the environment has no {variable}, which {endpoint.base_url} needs", hint=hint)


def name_key_variable(endpoint: EndpointSpec) -> str:
    """Return the variable that holds the key of an endpoint; empty where it gets none."""
    host = urlsplit(endpoint.base_url).hostname
    return endpoint.api_key_env or ("OPENAI_API_KEY" if host == "api.openai.com" else "")


def configure_sdk(endpoint: EndpointSpec, *, direct: bool = False) -> AsyncOpenAI:
    """Return the SDK client for an endpoint; what the recipe does not say, it reads from the environment.

    Args:
        endpoint: of the recipe, or a server of our own.
        direct: go past every proxy.

    Raises:
        SetupError: where the key is missing, or the environment names a proxy that cannot be used.
    """
    key = read_key(endpoint) or "none"  # it wants one; servers without keys ignore it
    # The SDK's own client fails at a proxy of the environment even where nothing would go through it.
    proxy = None if direct else find_proxy(endpoint.base_url)
    limits = httpx2.Limits(max_connections=None)  # how many there may be is decided by who asks
    transport = httpx2.AsyncHTTPTransport(verify=open_trust(), proxy=proxy, limits=limits)
    client = DefaultAsyncHttpxClient(transport=transport)
    return AsyncOpenAI(base_url=endpoint.base_url, api_key=key, http_client=client)


@asynccontextmanager
async def open_pools(models: Models, *, concurrency: int) -> AsyncIterator[dict[str, EndpointPool]]:
    """Open the endpoints of each label's model; local weights are served by a child process.

    Raises:
        SetupError: where a key, an extra or the weights are missing, or a proxy cannot be used.
    """
    async with AsyncExitStack() as stack:
        shared: dict[Hashable, EndpointPool] = {}
        for model in models.values():
            if model.identity not in shared:
                served = BACKENDS[model.kind].serve(model, concurrency=concurrency)
                endpoints = await stack.enter_async_context(served)
                pool = EndpointPool([_limit_endpoint(endpoint, model, concurrency) for endpoint in endpoints])
                stack.push_async_callback(pool.close)
                shared[model.identity] = pool
        yield {label: shared[model.identity] for label, model in models.items()}


def _limit_endpoint(endpoint: EndpointSpec, model: Model, concurrency: int) -> LimitedEndpoint:
    direct = not model.served_at  # a server that we started ourselves
    client = LiveClient(configure_sdk(endpoint, direct=direct), timeout=model.timeout, direct=direct)
    requests = Pace(endpoint.requests_per_minute, REQUESTS_HELD)
    tokens = Pace(endpoint.tokens_per_minute, TOKENS_HELD)
    width = endpoint.concurrency or concurrency
    limited = LimitedEndpoint(client, endpoint.base_url, width, requests, tokens, first_rest=model.retry_wait)
    client.observe = limited.read_headers
    return limited
