"""The proxies of the environment: which one leads to a URL, and what to do where it cannot be used.

    find_proxy("http://127.0.0.1:8000/v1")        # None, or such as "http://proxy.example:3128"

HTTP libraries differ in how they read `NO_PROXY`, and some fail at a proxy that no request would go through.
So it is read here, once for all of them. A proxy's password is in no message.
"""

import importlib.util
import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from multifaceted.credentials import hold_secret
from multifaceted.errors import SetupError
from multifaceted.extras import install_command

SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}
_NO_HOST = " \"'<>\\^`{|}"  # no letters of a host's name
NEEDS_EXTRA = "it speaks SOCKS, which needs the extra `proxy`"
_Address = IPv4Address | IPv6Address


def find_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; None where it goes without.

    Raises:
        SetupError: where there is one that cannot be used.
    """
    parts = urlsplit(url)
    name, proxy = _look_up(parts)
    if not name:
        return None
    try:
        return _check(proxy)
    except ValueError as error:
        variable = _find_variable(name)
        message = f"the proxy in {variable}, which leads to {parts.hostname}, cannot be used: {error}"
        ways = [f"add {parts.hostname} to NO_PROXY where no proxy is needed", f"correct {variable}"]
        hint = ", or ".join(
            [*ways, *([f"run: {install_command('proxy')}"] if str(error) == NEEDS_EXTRA else [])]
        )
        raise SetupError(message, hint=hint) from None


def describe_proxy(url: str) -> str:
    """Name the proxy that leads to a URL, without its password, and its variable; empty without one."""
    parts = urlsplit(url)
    name, proxy = _look_up(parts)
    netloc = proxy.strip().rpartition("://")[2].rpartition("@")[2].partition("/")[0]
    return f"the proxy {netloc} of {_find_variable(name)}" if name else ""


def is_socks(proxy: str | None) -> bool:
    """Return whether a proxy speaks SOCKS, which aiohttp does not."""
    return (proxy or "").startswith("socks")


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: `localhost`, 127.0.0.1, ::1."""
    address = _read_address(host)
    return host == "localhost" if address is None else address.is_loopback


def settle_hub_client() -> None:
    """Give `huggingface_hub` a client that can be made, where the environment names a proxy of no use."""
    proxies = getproxies()
    named = [proxies[name] for name in ("http", "https", "all") if proxies.get(name)]
    if not all(_is_plain(proxy) for proxy in named):
        # Only who asks the Hub pays the import.
        from huggingface_hub import set_client_factory  # noqa: PLC0415
        from huggingface_hub.utils._http import hf_request_event_hook  # noqa: PLC0415

        set_client_factory(lambda: _open_hub_client(hf_request_event_hook))


def _open_hub_client(hook: Callable[[httpx2.Request], object]) -> httpx2.Client:
    """As the library's own, but for how a request finds its proxy."""
    return httpx2.Client(
        event_hooks={"request": [hook]}, follow_redirects=True, timeout=None, transport=_ProxiedTransport()
    )


class _ProxiedTransport(httpx2.BaseTransport):
    """Looks for the proxy of each request when it is sent, so that one of no use does no harm."""

    def __init__(self) -> None:
        self._by_proxy: dict[str | None, httpx2.HTTPTransport] = {}

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        proxy = find_proxy(str(request.url))
        if proxy not in self._by_proxy:
            self._by_proxy[proxy] = httpx2.HTTPTransport(proxy=proxy)
        return self._by_proxy[proxy].handle_request(request)

    def close(self) -> None:
        for transport in self._by_proxy.values():
            transport.close()


def _look_up(url: SplitResult) -> tuple[str, str]:
    """The kind of the proxy that the environment names for a URL, and that proxy; twice empty without one."""
    proxies = getproxies()
    name = next((name for name in (url.scheme, "all") if proxies.get(name, "").strip()), "")
    return ("", "") if not name or _goes_direct(url, proxies.get("no", "")) else (name, proxies[name])


def _find_variable(name: str) -> str:
    return next((v for v in (f"{name}_proxy", f"{name}_proxy".upper()) if v in os.environ), name)


def _check(proxy: str) -> str:
    """Return a proxy as HTTP libraries take it.

    Raises:
        ValueError: where it is none, in words that hold no password.
    """
    proxy = proxy.strip()
    scheme, separator, rest = proxy.partition("://")
    scheme, rest = (scheme.lower(), rest) if separator else ("http", proxy)
    scheme = "socks5" if scheme == "socks" else scheme  # desktops write it so
    if scheme not in SCHEMES:
        raise ValueError("it begins with none of http://, https:// and socks5://")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("its host or port is malformed; is the password percent-encoded?") from None
    if not host or not host.isprintable() or set(host) & set(_NO_HOST) or port == 0:
        raise ValueError("it names no host")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("something follows its host and port; is the password percent-encoded?")
    hold_secret(unquote(parts.password or ""))
    login = f"{unquote(parts.username or '')}{unquote(parts.password or '')}"
    if not login.isprintable() or ":" in unquote(parts.username or ""):
        raise ValueError("its user or password holds what cannot be sent")
    try:
        login.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("its user or password holds what cannot be sent") from None
    if is_socks(scheme) and importlib.util.find_spec("socksio") is None:
        raise ValueError(NEEDS_EXTRA)
    return f"{scheme}://{parts.netloc}"


def _is_plain(proxy: str) -> bool:
    """Return whether every HTTP library takes it as it is written."""
    try:
        return _check(proxy) == proxy
    except ValueError:
        return False


def _goes_direct(url: SplitResult, exceptions: str) -> bool:
    """Whether `NO_PROXY` names a URL's host: itself, its domain, its network, with its port or without."""
    host = (url.hostname or "").rstrip(".")
    port = url.port or _PORTS.get(url.scheme)
    entries = [entry.strip().lower() for part in exceptions.split(",") for entry in part.split()]
    return any(_names(entry, host, port, url.scheme) for entry in entries if entry) or (
        proxy_bypass(host) != 0  # what Windows and macOS are set to
    )


def _names(entry: str, host: str, port: int | None, scheme: str) -> bool:
    wanted, separator, rest = entry.partition("://")
    if separator:
        if wanted != scheme:
            return False
        entry = rest
    if entry == "*":
        return True
    address = _read_address(host)
    if "/" in entry:
        try:
            return address is not None and address in ip_network(
                entry.replace("[", "").replace("]", ""), False
            )
        except ValueError:
            entry = entry.partition("/")[0]
    name, its_port = _split_port(entry)
    if its_port not in ("", str(port)):
        return False
    its_address = _read_address(name)
    if address is not None or its_address is not None:
        return address == its_address or fnmatchcase(host, name) or (is_loopback(name) and is_loopback(host))
    name = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith(f".{name}") or fnmatchcase(host, name))


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, port = entry.partition(":")
        return name, port
    return entry, ""


def _read_address(text: str) -> _Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
