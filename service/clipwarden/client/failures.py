"""What gRPC says of a call that reached no server in; what is wrong and what to do, in a sentence of ours, out.

gRPC puts the cause into prose alone. Its stable parts are those of the operating system, of BoringSSL and of the
handshake, and tests hold each row below against the failure itself. What no row knows is quoted.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import grpc


class Failure(NamedTuple):
    """What is wrong.

    Attributes:
        sentence: Says it, and what to do.
        lasts: Whether it stays so until somebody mends it: no wait, and no other attempt, would help.
    """

    sentence: str
    lasts: bool = False


class Told:
    """What the addresses of one host's name said. Safe to share between threads.

    Of a name with several addresses, such as `localhost`, gRPC reports one alone, and after a while mostly the last:
    that nothing listens at [::1] then hides what 127.0.0.1 has said.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: tuple[str, Failure, float] | None = None

    def most(self, details: str, failure: Failure) -> Failure:
        """Take what another address has said lately, where the one that is reported says nothing at all.

        Args:
            details: The words of gRPC.
            failure: What they mean.
        """
        reported = _ADDRESS.search(details)
        if reported is None:
            return failure
        address, silent = reported[1], _SILENT.search(reported[2])
        last = self._last
        if not silent:
            self._last = address, failure, self._clock()
        elif last and last[0] == address:
            self._last = None
        elif last and self._clock() - last[2] < _TOLD_SECONDS:
            return last[1]
        return failure


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Whom a call went to, as far as its failures tell.

    Attributes:
        target: The address.
        proxy: Where the proxy is that calls pass; None for none.
        tls: Whether we connect by TLS.
        has_certificate: Whether we show a certificate of our own.
        told: What its addresses said of late.
    """

    target: str
    proxy: str | None = None
    tls: bool = False
    has_certificate: bool = False
    told: Told = field(default_factory=Told, repr=False, compare=False)


class _Row(NamedTuple):
    pattern: str
    text: str
    lasts: bool = False


_TOLD_SECONDS = 120.0
"""Twice the usual wait for a server; somebody may have mended by then what an address said."""
_ADDRESS = re.compile(r"last error: \w+: (ipv[46]:\S+): (.*)", re.DOTALL)
_SILENT = re.compile(r"Connection refused|No route to host|unreachable|connection attempt timed out")
"""Nobody is at that address, or it cannot be reached from here."""

_NOBODY = "No clipwarden server answers at {peer.target}: "
_NO_PROXY = "No proxy answers at {peer.proxy}, through which {peer.target} is called: "

# Where the connection itself fails; it is the proxy's, where one is used.
_UNREACHED = (
    _Row(r"unix.*Connection refused", "nobody listens on that socket; start the server, or mend the path."),
    _Row(r"Connection refused", "nothing listens there; start the server, or mend the address."),
    _Row(
        r"Domain name not found|no data|Name or service not known|No address associated",
        "there is no host of that name; mend the address, or the DNS that this machine asks.",
    ),
    _Row(
        r"errors resolving|[Nn]ame resolution|DNS",
        "the name of the host could not be looked up; see that this machine's DNS works.",
    ),
    _Row(r"No such file|Not a directory", "there is no socket of that name; start the server, or mend the path."),
    _Row(
        r"unix.*Permission denied",
        "you may not use that socket; have the server give it another mode or group, or call as a user who may.",
    ),
    _Row(r"No route to host|unreachable", "no network leads there; mend the address, or the network."),
    _Row(
        r"before receiving SETTINGS",
        "something takes connections there and never says a word; mend the address, or start the server anew.",
    ),
    _Row(
        r"[Tt]imed out|[Tt]imeout", "nothing comes back from there; mend the address, or what drops packets on the way."
    ),
)

_BY_PROXY = (
    _Row(
        r"HTTP proxy returned response code 407",
        "The proxy at {peer.proxy} asks who calls; write http://NAME:PASSWORD@HOST:PORT.",
        lasts=True,
    ),
    _Row(
        r"HTTP proxy returned response code (\d+)",
        "The proxy at {peer.proxy} opens no way to {peer.target} (HTTP status {0}); see that the server runs, and that "
        "the proxy may call it.",
    ),
)

_BY_TLS = (
    _Row(
        r"WRONG_VERSION_NUMBER",
        "The server at {peer.target} does not speak TLS; connect in plain text, or give the server a certificate.",
        lasts=True,
    ),
    _Row(
        r"Hostname Verification Check failed",
        "The certificate of the server at {peer.target} is for another name; call the server by a name that the "
        "certificate holds, or say which it is (server_name).",
        lasts=True,
    ),
    _Row(
        r"certificate has expired",
        "The certificate of the server at {peer.target} has expired; have it renewed.",
        lasts=True,
    ),
    _Row(
        r"certificate is not yet valid",
        "The certificate of the server at {peer.target} is not valid yet; see that the clocks of both machines "
        "are right.",
        lasts=True,
    ),
    _Row(
        r"CERTIFICATE_VERIFY_FAILED.*(?:unable to|self.signed)",
        "The certificate of the server at {peer.target} comes from an authority that is not trusted here; name the "
        "authority's certificate (root_certificates).",
        lasts=True,
    ),
    _Row(
        r"CERTIFICATE_VERIFY_FAILED: (.*?)(?:: \w+)?$",
        "The certificate of the server at {peer.target} is not to be trusted: {0}.",
        lasts=True,
    ),
    _Row(r"ALPN", "The server at {peer.target} speaks TLS, but not gRPC; mend the address or the port.", lasts=True),
    _Row(
        r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER",
        "The server at {peer.target} speaks no TLS that is safe; have it speak TLS 1.2 or newer.",
        lasts=True,
    ),
    _Row(
        r"Failed to create security handshaker",
        "The certificates or the key given for {peer.target} cannot be used; see that they are whole, and that "
        "client_key is the key of client_certificate.",
        lasts=True,
    ),
)

_ENDED = r"last error:.*(?:Socket closed|Unwrap failed|Connection reset|Broken pipe|_ALERT_)"

_WITHOUT_CERTIFICATE = (
    _Row(
        _ENDED,
        "The server at {peer.target} ends the connection once TLS stands, as servers do that ask for a client "
        "certificate; give one (client_certificate, client_key).",
    ),
)
_WITH_CERTIFICATE = (
    _Row(
        _ENDED,
        "The server at {peer.target} ends the connection once it has seen our client certificate; see that it comes "
        "from an authority that the server trusts, and has not expired.",
    ),
)

_BY_PLAIN_TEXT = (
    _Row(
        r"http1\.x server",
        "A web server answers at {peer.target}, and no clipwarden server; mend the address or the port.",
        lasts=True,
    ),
    _Row(
        r"Failed parsing HTTP/2",
        "Something that does not speak gRPC answers at {peer.target}; mend the address or the port, or connect by TLS.",
        lasts=True,
    ),
    _Row(
        _ENDED,
        "The server at {peer.target} ends connections in plain text, as servers do that want TLS; connect by TLS (tls, "
        "root_certificates).",
    ),
)

# Of connections that stood.
_LOST = (
    _Row(
        r"backend unhealthy",
        "No server at {peer.target} says that it is healthy: each warms up, drains, or is stuck (clipwarden health "
        "tells which).",
    ),
    _Row(
        r"too_many_pings|Too many pings",
        "The server at {peer.target} sent this client away for pinging too often (too_many_pings); raise "
        "grpc.keepalive_time_ms in channel_options.",
    ),
    _Row(
        r"^(?!.*last error).*(?:Socket closed|Stream removed|Connection reset|Broken pipe|GOAWAY|ping timeout|"
        r"keepalive|Connection closed|Endpoint closing)",
        "The server at {peer.target} went away without an answer.",
    ),
)

_BY_HTTP_STATUS = (
    _Row(
        r"Received http2 header with status: (\d+)",
        "What answers at {peer.target} is no gRPC server, but says HTTP status {0}; mend the address, or the proxy on "
        "the way.",
    ),
)


def explain(code: grpc.StatusCode, details: str, peer: Peer) -> Failure | None:
    """Say what is wrong where gRPC itself, and no server of ours, ended a call.

    Args:
        code: Its status.
        details: Its words.
        peer: Whom the call went to.

    Returns:
        None where nothing but these words is known.
    """
    answered = _first(_BY_HTTP_STATUS, details, peer)
    if answered is not None or code is not grpc.StatusCode.UNAVAILABLE:
        return answered
    secured: tuple[_Row, ...]
    if peer.tls:
        secured = (*_BY_TLS, *(_WITH_CERTIFICATE if peer.has_certificate else _WITHOUT_CERTIFICATE))
    else:
        secured = _BY_PLAIN_TEXT
    found = _first((*_BY_PROXY, *_LOST, *secured), details, peer) or _first(
        _UNREACHED, details, peer, _NO_PROXY if peer.proxy else _NOBODY
    )
    return found and peer.told.most(details, found)


def _first(rows: tuple[_Row, ...], details: str, peer: Peer, subject: str = "") -> Failure | None:
    for row in rows:
        found = re.search(row.pattern, details)
        if found:
            return Failure((subject + row.text).format(*found.groups(), peer=peer), row.lasts)
    return None
