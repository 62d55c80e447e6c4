"""The text of an address in, a checked Target out, or ValueError that says what to write instead.

gRPC itself takes almost any text: to a host without a port it adds 443, a URL it takes for a host, and what it cannot
read fails at the first call, in words that name no cause.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import NoReturn
from urllib.parse import urlsplit

PORT = 50051
"""A server's own default, for sentences that show how an address is written."""

MAX_PORT = 65535
MAX_SOCKET_PATH_BYTES = 107
"""Linux: sun_path has 108 bytes, the last of which is 0 (unix(7))."""

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_BRACKETS = re.compile(r"\[([^\[\]]*)\]:(.*)", re.DOTALL)
_URL_TLS = ("https", "grpcs")
_LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")
_SHAPE = "it must be HOST:PORT or unix:PATH"


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Whom to call.

    Attributes:
        text: As gRPC takes it.
        hosts: The names and IP addresses in it; none for a socket, or where gRPC finds them by other means (xds).
        is_socket: Whether it is a Unix socket.
    """

    text: str
    hosts: tuple[str, ...] = ()
    is_socket: bool = False

    @property
    def is_local(self) -> bool:
        """Whether what is sent there never leaves this machine: a Unix socket, or the loopback interface."""
        return self.is_socket or (bool(self.hosts) and all(_is_loopback(host) for host in self.hosts))


def read_target(text: str) -> Target:
    """Read an address.

    Args:
        text: `HOST:PORT` with IPv6 in brackets, `unix:PATH`, or one of gRPC's own names with a port (`dns:///HOST:PORT`,
            `ipv4:`, `ipv6:`, `unix-abstract:`, `vsock:`, `xds:`).

    Raises:
        ValueError: It is none; the text begins with "is ".
    """
    scheme, _, rest = text.partition(":")
    read = _BY_SCHEME.get(scheme)
    if read is not None:
        return read(text, rest)
    if "://" in text:
        _refuse_url(text)
    return Target(text=text, hosts=(_host(text, text),))


def _read_socket(text: str, path: str) -> Target:
    if path.startswith("//") and not path.startswith("///"):
        raise ValueError(f"is {text!r}; write unix:PATH, or unix:///PATH for a path from the root")
    bare = path.removeprefix("//")
    if not bare.strip() or bare.endswith("/") or "\0" in bare:
        raise ValueError(f"is {text!r}; it must be unix:PATH with the path of a socket")
    if re.search(r"[%?#]", bare):  # gRPC reads them as a URL's, and would look for another file
        raise ValueError(f"is {text!r}; the path of a socket must be without %, ? and #")
    length = len(bare.encode(errors="surrogateescape"))
    if length > MAX_SOCKET_PATH_BYTES:
        raise ValueError(
            f"is {text!r}; the path of a socket has at most {MAX_SOCKET_PATH_BYTES} bytes, and this has {length}"
        )
    return Target(text=text, is_socket=True)


def _read_abstract(text: str, name: str) -> Target:
    if not name or re.search(r"\s", name):
        raise ValueError(f"is {text!r}; it must be unix-abstract:NAME, without white space")
    return Target(text=text, is_socket=True)


def _read_dns(text: str, rest: str) -> Target:
    # dns:HOST:PORT, dns:///HOST:PORT, or dns://SERVER/HOST:PORT with the DNS server that is to be asked.
    host = rest.removeprefix("//").partition("/")[2] if rest.startswith("//") else rest
    return Target(text=text, hosts=(_host(host, text),))


def _read_addresses(text: str, rest: str) -> Target:
    parts = rest.removeprefix("//").removeprefix("/").split(",")
    return Target(text=text, hosts=tuple(_host(part, text) for part in parts))


def _read_elsewhere(text: str, rest: str) -> Target:
    if not rest.strip("/") or re.search(r"\s", rest):
        raise ValueError(f"is {text!r}; {_SHAPE}, such as localhost:{PORT}")
    return Target(text=text)


_BY_SCHEME: dict[str, Callable[[str, str], Target]] = {
    "unix": _read_socket,
    "unix-abstract": _read_abstract,
    "dns": _read_dns,
    "ipv4": _read_addresses,
    "ipv6": _read_addresses,
    "vsock": _read_elsewhere,
    "xds": _read_elsewhere,
}


def _host(text: str, whole: str) -> str:
    """Take the host of `HOST:PORT`; `whole` is what the sentence names."""
    in_brackets = _BRACKETS.fullmatch(text)
    if in_brackets:
        host, port = in_brackets[1], in_brackets[2]
        if not isinstance(_address(host), IPv6Address):
            raise ValueError(f"is {whole!r}; in brackets stands an IPv6 address, such as [::1]:{PORT}")
    elif text.count(":") > 1:
        _refuse_bare_ipv6(text, whole)
    else:
        host, colon, port = text.partition(":")
        _require_name(host, whole, meant=f"{host or 'localhost'}:{port if colon and port else PORT}")
        if not colon:
            raise ValueError(f"is {whole!r}; {_SHAPE}, such as {host}:{PORT}")
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= MAX_PORT:
        raise ValueError(f"is {whole!r}; the port must be a number from 1 to {MAX_PORT}, such as {PORT}")
    return host


def _require_name(host: str, whole: str, *, meant: str) -> None:
    if not host:
        raise ValueError(f"is {whole!r}; {_SHAPE}, such as {meant}")
    if _NAME.fullmatch(host):
        return
    ascii_name = _in_ascii(host)
    if ascii_name:
        raise ValueError(f"is {whole!r}; a host is named in ASCII: {meant.replace(host, ascii_name, 1)}")
    raise ValueError(f"is {whole!r}; {_SHAPE}, and no host is called {host!r}")


def _in_ascii(host: str) -> str | None:
    """Write a name of other scripts as DNS has it; None where it is no name in any script."""
    if host.isascii():
        return None
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        return None
    return name if _NAME.fullmatch(name) and name.strip(".") else None


def _refuse_bare_ipv6(text: str, whole: str) -> NoReturn:
    host, _, port = text.rpartition(":")
    # `::1:50051` is an IPv6 address itself, and hardly ever meant as one.
    if port.isdigit() and isinstance(_address(host), IPv6Address):
        meant = f"[{host}]:{port}"
    elif isinstance(_address(text), IPv6Address):
        meant = f"[{text}]:{PORT}"
    else:
        raise ValueError(f"is {whole!r}; {_SHAPE}, such as localhost:{PORT}")
    raise ValueError(f"is {whole!r}; an IPv6 address stands in brackets: {meant}")


def _refuse_url(text: str) -> NoReturn:
    try:
        url = urlsplit(text)
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port, url = "", None, None
    if url is None or not _NAME.fullmatch(host):
        raise ValueError(f"is {text!r}; {_SHAPE}, not a URL")
    with_tls = ", with TLS" if url.scheme in _URL_TLS else ""
    raise ValueError(f"is {text!r}; {_SHAPE}, not a URL: write {host}:{port or PORT}{with_tls}")


def _address(host: str) -> object:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    name = host.lower().removesuffix(".")
    if name in _LOCAL_NAMES or name.endswith(".localhost"):  # RFC 6761: never another machine
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback or address.is_unspecified
