"""A proxy's URL in, the channel options that make gRPC use it out; or those that make it use none.

Left to itself gRPC obeys `grpc_proxy`, `https_proxy` and `http_proxy`, for localhost as well: images would leave by
whatever the environment of a process happens to name.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from clipwarden.client.target import Target

# The first switches off the variables above; the second GRPC_ADDRESS_HTTP_PROXY, which the first leaves on.
NO_PROXY: Mapping[str, int | str] = {
    "grpc.enable_http_proxy": 0,
    "grpc.address_http_proxy_enabled_addresses": "",
}
_EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
"""Variables whose hosts gRPC calls without a proxy, even one that was named to it; the first that is set counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proxy:
    """A proxy to call through.

    Attributes:
        url: `http://HOST:PORT`, perhaps with a name and a password.
        shown: Without these.
    """

    url: str = field(repr=False)
    shown: str

    def channel_options(self) -> Mapping[str, int | str]:
        """List what makes gRPC use it."""
        return {**NO_PROXY, "grpc.enable_http_proxy": 1, "grpc.http_proxy": self.url}


def read_proxy(text: str, target: Target) -> Proxy:
    """Read a proxy's URL.

    Args:
        text: `http://HOST:PORT` or `http://NAME:PASSWORD@HOST:PORT`.
        target: The server behind it.

    Raises:
        ValueError: It is none, or cannot be used for that server. The password is not in the text.
    """
    proxy = _read(text)
    if target.is_local:
        raise ValueError(f"proxy is {proxy.shown}, and {target.text} is on this machine, for which none is ever used")
    if len(target.hosts) != 1:
        raise ValueError(f"proxy is {proxy.shown}, and {target.text} is not HOST:PORT, for which alone one can be used")
    variable = _exception(target.hosts[0], os.environ)
    if variable:
        raise ValueError(
            f"proxy is {proxy.shown}, and the variable {variable} excepts {target.hosts[0]}, which gRPC obeys; "
            "unset it, or leave the proxy out"
        )
    return proxy


def _read(text: str) -> Proxy:
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
    if host is None or not port or url.path not in ("", "/") or url.query or url.fragment or text != text.strip():
        raise ValueError("proxy must be http://HOST:PORT, such as http://proxy.internal:3128")
    shown = f"{url.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    if url.scheme != "http":  # gRPC would call the server directly, and only log that it does
        raise ValueError(f"proxy is {shown}; gRPC knows proxies of http:// alone (TLS to the server passes them)")
    return Proxy(url=text.removesuffix("/"), shown=shown)


def _exception(host: str, environ: Mapping[str, str]) -> str | None:
    """Name the variable by which gRPC would call a host directly."""
    variable = next((name for name in _EXCEPTIONS if environ.get(name)), None)
    entries = environ[variable].split(",") if variable else []
    return variable if any(_matches(host, entry.strip()) for entry in entries) else None


def _matches(host: str, entry: str) -> bool:
    if entry == "*" or (entry and host.lower().endswith(entry.lower())):
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
