"""A call in, who calls out: by its certificate, or which connection it came by; and from where."""

from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import unquote

from clipwarden.serving.context import Context


def caller_of(context: Context) -> str:
    """Name who calls: whoever has the same name shares one caller's part of the machine.

    Args:
        context: Of the call.

    Returns:
        The names in the client's certificate, where one was asked for and checked. Otherwise gRPC's name of the peer:
        address and port, and so the connection; all that come by a Unix socket are `unix:`.
    """
    names = context.peer_identities()
    if names:
        return "certificate:" + ",".join(sorted(name.decode(errors="replace") for name in names))
    return str(context.peer())


@lru_cache(maxsize=1024)
def origin_of(caller: str) -> str:
    """Name the place that a caller comes from, which may have many connections.

    Args:
        caller: From `caller_of`.

    Returns:
        The address, of a connection by IP; of an IPv6 one its first 64 bits, since the rest is any host's to choose.
        Otherwise the caller itself: a certificate is one place, and so is a Unix socket.
    """
    kind, _, rest = caller.partition(":")
    address = rest.rpartition(":")[0]
    if kind == "ipv4":
        return f"{kind}:{address}"
    if kind == "ipv6":
        with suppress(ValueError):
            return f"{kind}:{IPv6Address(unquote(address).strip('[]')).packed[:8].hex()}"
    return caller
