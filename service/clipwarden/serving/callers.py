"""A call in, who calls out: by its token, its certificate, or which connection it came by; and from where."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import unquote

from clipwarden.errors import ClipwardenError, HeadersTooLargeError, Reason, UnauthenticatedError
from clipwarden.serving.context import Context
from clipwarden.serving.tokens import Tokens, bearer

MOST_HEADER_BYTES = 16 * 1024
"""Most bytes of a call's headers, each counted with 32 more as HTTP/2 does (RFC 9113, 6.5.2): what gRPC takes at most
where nobody says otherwise. Far above a token, a trace and what proxies add."""
MOST_CERTIFICATE_NAME = 160
"""Characters of a certificate's names that are written out; what is longer is told apart by its digest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Who calls.

    Attributes:
        caller: Whose share of the machine the call takes.
        origin: Where it comes from.
        name: Of the token, as its file has it; None without one.
        denial: Why the call is not let in, if so.
        known_by: The tokens that it was last compared with.
    """

    caller: str
    origin: str
    name: str | None = None
    denial: ClipwardenError | None = None
    known_by: Tokens | None = None


NOBODY = Identity(caller="", origin="")


class Callers:
    """Tells who calls.

    Args:
        tokens: Gives those of now, one of which every call has to bring; None where none is asked for.
    """

    def __init__(self, tokens: Callable[[], Tokens] | None = None) -> None:
        self._tokens = tokens

    def identify(self, context: Context) -> Identity:
        """Name who calls, and say whether the call is let in.

        A token's name comes before a certificate's: it is this server's operator who gave it, while a certificate
        often is that of a proxy or of a whole cluster.

        Args:
            context: Of the call.
        """
        headers = context.invocation_metadata() or ()
        size = sum([len(key) + len(value) + 32 for key, value in headers])
        if size > MOST_HEADER_BYTES:
            return _connection(
                context, HeadersTooLargeError(f"the headers take {size} bytes; at most {MOST_HEADER_BYTES} are taken")
            )
        if self._tokens is None:
            return _connection(context)
        tokens = self._tokens()
        given = [value for key, value in headers if key == "authorization"]
        if not given:
            return _connection(context, _missing())
        token = bearer(given[0]) if len(given) == 1 and isinstance(given[0], str) else None
        name = None if token is None else tokens.holder(token)
        if name is None:
            return _connection(context, _invalid())
        caller = f"token:{name}"
        return Identity(caller=caller, origin=caller, name=name, known_by=tokens)

    def again(self, who: Identity, context: Context) -> Identity:
        """Name who calls once more, if tokens have changed since."""
        return who if self._tokens is None or self._tokens() is who.known_by else self.identify(context)


def _missing() -> UnauthenticatedError:
    return UnauthenticatedError(
        "a token is required; send the metadata `authorization: Bearer TOKEN`", reason=Reason.TOKEN_MISSING
    )


def _invalid() -> UnauthenticatedError:
    # One sentence for all: what is wrong with a token is nothing that whoever guesses at one should learn.
    return UnauthenticatedError("the token is not valid here, or not any more", reason=Reason.TOKEN_INVALID)


def _connection(context: Context, denial: ClipwardenError | None = None) -> Identity:
    caller = caller_of(context)
    return Identity(caller=caller, origin=origin_of(caller), denial=denial)


def caller_of(context: Context) -> str:
    """Name who calls without a token: whoever has the same name shares one caller's part of the machine.

    Args:
        context: Of the call.

    Returns:
        The names in the client's certificate, where one was asked for and checked. Otherwise gRPC's name of the peer:
        address and port, and so the connection; all that come by a Unix socket are `unix:`.
    """
    names = context.peer_identities()
    return _certified(tuple(names)) if names else str(context.peer())


@lru_cache(maxsize=1024)
def _certified(names: tuple[bytes, ...]) -> str:
    # A name with a comma must not read like two others.
    text = ",".join(sorted(name.decode(errors="replace").replace(",", "%2C") for name in names))
    if len(text) > MOST_CERTIFICATE_NAME:
        text = f"{text[:MOST_CERTIFICATE_NAME]}~{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return f"certificate:{text}"


def address_of(peer: str) -> str:
    """Take the port off gRPC's name of a peer: a new one with each connection, which would tell lines apart."""
    kind, _, rest = peer.partition(":")
    return f"{kind}:{unquote(rest.rpartition(':')[0])}" if kind in {"ipv4", "ipv6"} else peer


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
