"""Proxies of the environment: which one leads where, and that one of no use stops nobody who goes without."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import HUB_TOKEN, MakeRecipe
from huggingface_hub import constants, get_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from test_generate import run
from test_transport import ENVIRONMENT, Endpoint, say, serve, show

from multifaceted.chat.factory import configure_sdk
from multifaceted.chat.live import LiveClient
from multifaceted.chat.transport import LeanTransport, SdkTransport, choose_transport
from multifaceted.errors import SetupError, TransientEndpointError
from multifaceted.models import EndpointSpec
from multifaceted.proxies import find_proxy
from multifaceted.publishing.hub import DatasetRepo
from multifaceted.testing import ChatServer, HubServer

PASSWORD = "hunter2"
SOCKS = f"socks5://me:{PASSWORD}@127.0.0.1:9"
HAS_SOCKS = importlib.util.find_spec("socksio") is not None


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def refuse(url: str) -> SetupError:
    with pytest.raises(SetupError) as caught:
        find_proxy(url)
    assert PASSWORD not in show(caught.value)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://a.example/v1", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://a.example/v1", None),
        ({"HTTPS_PROXY": "http://p:2"}, "https://a.example/v1", "http://p:2"),
        ({"ALL_PROXY": "http://p:3"}, "https://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "HTTP_PROXY": "http://p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTP_PROXY": ""}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "*"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "a.example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": ".example"}, "http://a.example/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "b.example"}, "http://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "x, 127.0.0.1"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "127.0.0.1:8000"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "127.0.0.1:9"}, "http://127.0.0.1:8000/v1", "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "::1"}, "http://[::1]:8000/v1", None),
        ({"ALL_PROXY": "http://p:3", "NO_PROXY": "localhost"}, "http://localhost:8000/v1", None),
        ({"https_proxy": "http://p:2"}, "https://a.example/v1", "http://p:2"),
        ({"all_proxy": "http://p:3"}, "https://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": " HTTP://p:3/ "}, "https://a.example/v1", "http://p:3"),
        ({"ALL_PROXY": "https://p:3"}, "https://a.example/v1", "https://p:3"),
        ({"ALL_PROXY": "[::1]:3"}, "https://a.example/v1", "http://[::1]:3"),
        ({"ALL_PROXY": "http://me:p%40ss@p:3"}, "https://a.example/v1", "http://me:p%40ss@p:3"),
        ({"ALL_PROXY": "   "}, "https://a.example/v1", None),
        # A proxy of no use is none of the business of who does not go through it.
        ({"ALL_PROXY": SOCKS, "HTTP_PROXY": "http://p:1"}, "http://a.example/v1", "http://p:1"),
        ({"HTTPS_PROXY": "socks4://p:1"}, "http://a.example/v1", None),
        ({"ALL_PROXY": SOCKS, "no_proxy": "127.0.0.1,localhost"}, "http://127.0.0.1:8000/v1", None),
        ({"ALL_PROXY": "nonsense://", "NO_PROXY": "*"}, "http://a.example/v1", None),
    ],
)
def test_the_environment_names_the_proxy_and_who_goes_without(
    variables: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(url) == proxy


@pytest.mark.parametrize(
    ("url", "exceptions", "is_direct"),
    [
        ("http://a.example/v1", "b.example,*", True),
        ("http://a.example/v1", "b.example a.example", True),
        ("http://a.example/v1", "*.example", True),
        ("http://a.example/v1", "*a.example", True),
        ("http://ba.example/v1", "a.example", False),
        ("http://A.example./v1", "a.EXAMPLE", True),
        ("http://a.example/v1", "http://a.example", True),
        ("http://a.example/v1", "https://a.example", False),
        ("http://a.example/v1", "a.example:80", True),
        ("https://a.example/v1", "a.example:443", True),
        ("https://a.example/v1", "a.example:80", False),
        ("http://a.example:8000/v1", ".example:8000", True),
        ("http://10.1.2.3/v1", "10.0.0.0/8", True),
        ("http://11.1.2.3/v1", "10.0.0.0/8", False),
        ("http://10.1.2.3/v1", "10.1.2.3/8", True),
        ("http://10.1.2.3/v1", "10.*", True),
        ("http://[fd00::5]:8000/v1", "fd00::/8", True),
        ("http://[::1]:8000/v1", "[::1]", True),
        ("http://[::1]:8000/v1", "[::1]:8000", True),
        ("http://[::1]:8000/v1", "[::1]:9", False),
        ("http://[::1]:8000/v1", "0:0:0:0:0:0:0:1", True),
        ("http://127.0.0.1:8000/v1", "localhost", True),
        ("http://localhost:8000/v1", "127.0.0.1", True),
        ("http://localhost:8000/v1", "127.0.0.0/8,::1", True),
        ("http://127.0.0.1:8000/v1", "a/b/c,[[,]:,:,::::,/,//,http://,:8000", False),
    ],
)
def test_no_proxy_is_read_in_all_its_forms(
    url: str, exceptions: str, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {"ALL_PROXY": "http://p:3", "NO_PROXY": exceptions})
    assert find_proxy(url) == (None if is_direct else "http://p:3")


@pytest.mark.parametrize(
    "proxy",
    [
        *("socks4://me:hunter2@p:1", "ftp://me:hunter2@p", "://p:1", "nonsense://p"),
        *("http://", "socks5://", "http://:8080", "http://me:hunter2@", "http://me:hunter2@:80"),
        *("http://p:many", "http://p:99999", "http://p:0", "http://[::1", "http://p:１", "http://a b:80"),
        *("http://me:hunter2/x@p:1", "http://me:hunter2#x@p:1", "http://me:hunter2?x@p:1", "http:/p:1"),
        *(
            "http://p:1/path",
            "http://me:hunter2%0A@p:1",
            "http://me:hunter2%E2%82%AC@p:1",
            "http://m%3Ae:x@p:1",
        ),
    ],
)
def test_a_malformed_proxy_is_named_by_its_variable_and_its_password_is_not_shown(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = refuse("https://models.example/v1")
    assert error.message.startswith(
        "the proxy in HTTPS_PROXY, which leads to models.example, cannot be used: "
    )
    assert error.hint == "add models.example to NO_PROXY where no proxy is needed, or correct HTTPS_PROXY"


@pytest.mark.skipif(HAS_SOCKS, reason="the extra `proxy` is installed")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks", "SOCKS5"])
def test_a_socks_proxy_without_its_extra_says_what_to_install(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", SOCKS.replace("socks5", scheme))
    error = refuse("http://models.example/v1")
    assert "all_proxy" in error.message
    assert "pip install 'multifaceted[proxy]'" in error.hint


def test_a_run_goes_past_a_proxy_of_no_use_and_without_an_exception_stops_before_it_sends(
    make_recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    with ChatServer() as server:
        recipe = make_recipe(server.base_url, count=2, variants=1)
        with pytest.raises(SetupError, match="ALL_PROXY"):
            run(recipe, tmp_path / "run")
        assert server.bodies == []
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert run(recipe, tmp_path / "run").ok == 2


def test_a_server_of_our_own_is_reached_past_every_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serve(say("proxy")) as proxy, serve(say("itself")) as endpoint:
            monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
            sdk = configure_sdk(EndpointSpec(base_url=endpoint.base_url), direct=True)
            for transport in (choose_transport(sdk, timeout=5, direct=True), SdkTransport(sdk, timeout=5)):
                assert (await transport.post({})).text == "itself"
                await transport.close()
            await LiveClient(sdk, timeout=5, direct=True).close()

    asyncio.run(main())


def test_a_server_on_this_machine_behind_a_proxy_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:{PASSWORD}@p:1")
    for host in ("127.0.0.1", "models.example"):
        sdk = AsyncOpenAI(
            base_url=f"http://{host}:8000/v1", api_key="k", http_client=DefaultAsyncHttpxClient()
        )
        LeanTransport(sdk, timeout=1)
    [warned] = caplog.messages
    assert "http://127.0.0.1:8000/v1/chat/completions is reached through a proxy; add localhost" in warned


def test_the_configured_sdk_goes_through_the_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with serve(say("proxy")) as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.base_url.removesuffix("/v1"))
            transport = SdkTransport(configure_sdk(EndpointSpec(base_url="http://127.0.0.1:1/v1")), timeout=5)
            assert (await transport.post({})).text == "proxy"
            await transport.close()

    asyncio.run(main())


# The Hub


@pytest.fixture
def _at_the_hub(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(constants, "ENDPOINT", hub.base_url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", HUB_TOKEN)
    set_client_factory(default_client_factory)
    yield
    set_client_factory(default_client_factory)


@pytest.mark.usefixtures("_at_the_hub")
@pytest.mark.parametrize("proxy", [SOCKS, "socks://p:1", "socks4://p:1", "http://p:many", "nonsense"])
def test_the_hub_is_reached_past_a_proxy_of_no_use(
    proxy: str, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, {"ALL_PROXY": proxy, "NO_PROXY": "*.example,127.0.0.1"})
    hub.create("org/name")
    assert DatasetRepo("org/name").look() is not None


@pytest.mark.usefixtures("_at_the_hub")
@pytest.mark.parametrize("proxy", [f"socks4://me:{PASSWORD}@p:1", f"http://me:{PASSWORD}@:1"])
def test_a_hub_that_only_a_proxy_of_no_use_leads_to_is_a_setup_error(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SetupError, match="ALL_PROXY") as caught:
        DatasetRepo("org/name").look()
    assert PASSWORD not in show(caught.value)


@pytest.mark.usefixtures("_at_the_hub")
def test_without_such_a_proxy_the_hubs_own_client_is_left_alone() -> None:
    own = httpx2.Client()
    set_client_factory(lambda: own)
    DatasetRepo("org/name")
    assert get_session() is own


# SOCKS


@asynccontextmanager
async def serve_socks(target: Endpoint, seen: list[bytes]) -> AsyncIterator[str]:
    """A SOCKS5 proxy (RFC 1928, 1929) that leads everybody to one endpoint; gives its address."""
    place = target.base_url.removesuffix("/v1").removeprefix("http://").split(":")

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(2**16):
            writer.write(data)
        writer.close()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        assert 2 in await reader.readexactly(count)
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        seen.append(await reader.readexactly((await reader.readexactly(1))[0]))
        seen.append(await reader.readexactly((await reader.readexactly(1))[0]))
        writer.write(b"\x01\x00")
        assert await reader.readexactly(4) == b"\x05\x01\x00\x03"  # connect to a host by its name
        seen.append(await reader.readexactly((await reader.readexactly(1))[0]))
        await reader.readexactly(2)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        there, back = await asyncio.open_connection(*place)
        await asyncio.gather(pipe(reader, back), pipe(there, writer))

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.skipif(not HAS_SOCKS, reason="needs the extra `proxy`")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
def test_with_its_extra_a_socks_proxy_is_gone_through(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[bytes]:
        seen: list[bytes] = []
        async with serve(say("there")) as endpoint, serve_socks(endpoint, seen) as place:
            monkeypatch.setenv("ALL_PROXY", f"{scheme}://me:{PASSWORD}@{place}")
            monkeypatch.setenv("KEY", "k")
            sdk = configure_sdk(EndpointSpec(base_url="http://models.example/v1", api_key_env="KEY"))
            transport = choose_transport(sdk, timeout=5)
            assert isinstance(transport, SdkTransport)
            assert (await transport.post({})).text == "there"
            assert endpoint.seen[0].headers["Host"] == "models.example"
            await transport.close()
        return seen

    assert asyncio.run(main()) == [b"me", PASSWORD.encode(), b"models.example"]


@pytest.mark.parametrize(("variable", "scheme"), [("HTTP_PROXY", "http"), ("ALL_PROXY", "socks5")])
def test_a_proxy_that_is_down_is_blamed_and_not_the_endpoint(
    variable: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if scheme == "socks5" and not HAS_SOCKS:
        pytest.skip("needs the extra `proxy`")
    monkeypatch.setenv(variable, f"{scheme}://me:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("KEY", "k")
    sdk = configure_sdk(EndpointSpec(base_url="http://models.example/v1", api_key_env="KEY"))

    async def main() -> None:
        transport = choose_transport(sdk, timeout=5)
        try:
            await transport.post({})
        finally:
            await transport.close()

    with pytest.raises(TransientEndpointError) as caught:
        asyncio.run(main())
    said = caught.value.message
    assert said.startswith(f"the proxy 127.0.0.1:9 of {variable}, which leads to models.example: ")
    assert said.endswith("; correct it, or add models.example to NO_PROXY where no proxy is needed")
    assert PASSWORD not in said
