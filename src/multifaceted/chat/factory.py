"""From the recipe's model specs to endpoint pools and the names that go into requests.

Two stages that ask the same model at the same endpoints share one pool, and so its connections and limits.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from openai import AsyncOpenAI

from multifaceted.chat.batches import BatchClient, Sleep
from multifaceted.chat.lane import REQUESTS_HELD, TOKENS_HELD, Lane
from multifaceted.chat.limits import Pace
from multifaceted.chat.live import LiveClient
from multifaceted.chat.local import SLOTS, serve_weights
from multifaceted.chat.pool import EndpointPool
from multifaceted.chat.weights import find_weights, name_weights
from multifaceted.errors import SetupError
from multifaceted.plan import LiveModel, LocalModel
from multifaceted.plan.recipe import EndpointSpec
from multifaceted.records import Stage

Models = Mapping[Stage, LiveModel | LocalModel]


def name_models(models: Models) -> dict[Stage, str]:
    """The model name of each stage's requests; that of local weights holds their hash.

    Raises:
        SetupError: where local weights are not there.
    """
    return {
        stage: model.name if isinstance(model, LiveModel) else name_weights(find_weights(model.weights))
        for stage, model in models.items()
    }


def read_key(place: EndpointSpec) -> str:
    """The API key from the environment; an endpoint on this machine may do without.

    Without `api_key_env` no key goes anywhere but OpenAI's key to OpenAI.

    Raises:
        SetupError: where the variable is not named or not set and the endpoint is elsewhere.
    """
    host = urlsplit(place.base_url).hostname or ""
    variable = place.api_key_env or ("OPENAI_API_KEY" if host == "api.openai.com" else "")
    key = os.environ.get(variable, "") if variable else ""
    if key or _is_loopback(host):
        return key
    if not variable:
        hint = "name the variable that holds the key as api_key_env in the recipe"
        raise SetupError(f"{place.base_url} needs a key, and the recipe names none", hint=hint)
    hint = f"export {variable}=…, or name another variable as api_key_env in the recipe"
    raise SetupError(f"the environment has no {variable}, which {place.base_url} needs", hint=hint)


def configure_sdk(place: EndpointSpec) -> AsyncOpenAI:
    """The SDK client for an endpoint; what the recipe does not say, it reads from the environment."""
    # It wants a key; servers without keys ignore it.
    return AsyncOpenAI(base_url=place.base_url, api_key=read_key(place) or "none")


@asynccontextmanager
async def open_pools(models: Models, *, concurrency: int) -> AsyncIterator[dict[Stage, EndpointPool]]:
    """Open the endpoints of each stage; local weights are served by a child process.

    Raises:
        SetupError: where a key, an extra or the weights are missing.
    """
    async with AsyncExitStack() as stack:
        shared: dict[object, EndpointPool] = {}
        pools: dict[Stage, EndpointPool] = {}
        for stage, model in models.items():
            identity = _identify(model)
            if identity not in shared:
                pool = EndpointPool(await _open_lanes(model, stack, concurrency))
                stack.push_async_callback(pool.close)
                shared[identity] = pool
            pools[stage] = shared[identity]
        yield pools


@asynccontextmanager
async def open_batch_clients(models: Models, *, sleep: Sleep) -> AsyncIterator[dict[str, BatchClient]]:
    """Open a client of the Batch API for each base URL.

    Raises:
        SetupError: where a key is missing.
    """
    async with AsyncExitStack() as stack:
        clients: dict[str, BatchClient] = {}
        for model in models.values():
            for place in model.places if isinstance(model, LiveModel) else ():
                if place.base_url not in clients:
                    client = BatchClient(configure_sdk(place), sleep=sleep, first_wait=model.retry_wait)
                    stack.push_async_callback(client.close)
                    clients[place.base_url] = client
        yield clients


async def _open_lanes(model: LiveModel | LocalModel, stack: AsyncExitStack, concurrency: int) -> list[Lane]:
    if isinstance(model, LocalModel):
        url = await stack.enter_async_context(serve_weights(model))
        # One request waits while another is answered; more would count the server's queue as silence.
        return [_open_lane(EndpointSpec(base_url=url), model, min(concurrency, SLOTS + 1))]
    return [_open_lane(place, model, place.concurrency or concurrency) for place in model.places]


def _open_lane(place: EndpointSpec, model: LiveModel | LocalModel, concurrency: int) -> Lane:
    client = LiveClient(configure_sdk(place), timeout=model.timeout)
    requests = Pace(place.requests_per_minute, REQUESTS_HELD)
    tokens = Pace(place.tokens_per_minute, TOKENS_HELD)
    lane = Lane(client, place.base_url, concurrency, requests, tokens, first_rest=model.retry_wait)
    client.observe = lane.read_headers
    return lane


def _identify(model: LiveModel | LocalModel) -> object:
    """What two stages must have in common to share connections and limits."""
    if isinstance(model, LocalModel):
        return model.weights, model.threads, model.context, model.timeout
    return model.name, model.places, model.timeout


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
