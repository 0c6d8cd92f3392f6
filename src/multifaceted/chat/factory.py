"""From the recipe's model specs to clients and the names that go into requests.

Two stages that use the same endpoint and key share one client, and so its connections and what it learned.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_address
from urllib.parse import urlsplit

from multifaceted.chat.client import ChatClient
from multifaceted.chat.live import LiveClient
from multifaceted.chat.local import serve_weights
from multifaceted.chat.weights import find_weights, name_weights
from multifaceted.errors import SetupError
from multifaceted.plan import LiveModel, LocalModel
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


def read_key(model: LiveModel) -> str:
    """The API key from the environment; an endpoint on this machine may do without.

    Without `api_key_env` no key goes anywhere but OpenAI's key to OpenAI.

    Raises:
        SetupError: where the variable is not named or not set and the endpoint is elsewhere.
    """
    host = urlsplit(model.base_url).hostname or ""
    variable = model.api_key_env or ("OPENAI_API_KEY" if host == "api.openai.com" else "")
    key = os.environ.get(variable, "") if variable else ""
    if key or _is_loopback(host):
        return key
    if not variable:
        hint = "name the variable that holds the key as model.api_key_env in the recipe"
        raise SetupError(f"{model.base_url} needs a key, and the recipe names none", hint=hint)
    hint = f"export {variable}=…, or name another variable as model.api_key_env in the recipe"
    raise SetupError(f"the environment has no {variable}, which {model.base_url} needs", hint=hint)


@asynccontextmanager
async def open_clients(models: Models, *, concurrency: int) -> AsyncIterator[dict[Stage, ChatClient]]:
    """Open a client for each stage; local weights are served by a child process.

    Raises:
        SetupError: where a key, an extra or the weights are missing.
    """
    async with AsyncExitStack() as stack:
        shared: dict[tuple[object, ...], ChatClient] = {}
        clients: dict[Stage, ChatClient] = {}
        for stage, model in models.items():
            if isinstance(model, LiveModel):
                url, key = model.base_url, read_key(model)
                place: tuple[object, ...] = (url, model.api_key_env, model.timeout)
            else:
                place, url, key = (model.weights, model.threads, model.context, model.timeout), "", ""
            if place not in shared:
                if isinstance(model, LocalModel):
                    url = await stack.enter_async_context(serve_weights(model))
                client = LiveClient(url, api_key=key, timeout=model.timeout, connections=concurrency)
                stack.push_async_callback(client.close)
                shared[place] = client
            clients[stage] = shared[place]
        yield clients


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
