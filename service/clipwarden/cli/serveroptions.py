"""How commands reach a server: the options that all of them share, in; a client of it out."""

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from clipwarden.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

_Client = TypeVar("_Client")

Tls = Annotated[bool, typer.Option("--tls", help="Connect by TLS, trusting the root certificates that come with gRPC.")]
RootCertificates = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Connect by TLS, trusting these root certificates (PEM).")
]
ClientCertificate = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Show this certificate (PEM) to a server that asks for one.")
]
ClientKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Private key (PEM) of --client-certificate.")]
ServerName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Name that the server's certificate holds, where it is not the one called."),
]
TokenFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Send the token in this file; it is read anew when it changes.")
]
InsecureToken = Annotated[
    bool,
    typer.Option("--insecure-token", help="Let the token go to another machine in plain text, as in a service mesh."),
]
ProxyUrl = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Call through this proxy: http://HOST:PORT. Without it none is used, whatever http_proxy says.",
    ),
]
RoundRobin = Annotated[
    bool,
    typer.Option(
        "--round-robin",
        help="Call all servers behind the address in turn (dns:///NAME:PORT, ipv4:ADDRESS:PORT,ADDRESS:PORT).",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOptions:
    """How to reach a server; each is what the client calls so, and the flag that is spelt so.

    Attributes:
        tls: Whether to connect by TLS.
        root_certificates: Whom to trust.
        client_certificate: What to show.
        client_key: Its key.
        server_name: What the server's certificate holds.
        token_file: Whom to be.
        insecure_token: Whether that may be read on the way.
        proxy: What to call through.
        round_robin: Whether to call all servers of that name in turn.
    """

    tls: bool = False
    root_certificates: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    server_name: str | None = None
    token_file: Path | None = None
    insecure_token: bool = False
    proxy: str | None = None
    round_robin: bool = False

    def given(self) -> dict[str, object]:
        """List those that differ from their defaults, by name."""
        values = ((choice.name, getattr(self, choice.name), choice.default) for choice in fields(self))
        return {name: value for name, value, default in values if value != default}


DIRECT = ServerOptions()
# As words of a sentence, and not as parts of a path. `proxy` and `tls` are words of their own as well.
_ARGUMENT = re.compile(
    rf"(?<![\w/.-])(?:{'|'.join(field.name for field in fields(ServerOptions) if '_' in field.name)})(?![\w/-]|\.\w)"
    r"|^proxy(?= is | must )|(?<=\()tls(?=, )"
)


def require_server(options: ServerOptions) -> None:
    """Refuse options that say how to reach a server where none is named.

    Raises:
        ConfigError: One of them is given.
    """
    for name in options.given():
        raise ConfigError(f"{_flag(name)} makes sense with --server only.")


def require_address(text: str) -> None:
    """Refuse what is no address of a server, before anything else is done.

    Raises:
        ConfigError: It is none.
    """
    quieten_grpc()
    from clipwarden.client.target import read_target

    try:
        read_target(text)
    except ValueError as exc:
        raise ConfigError(f"--server {exc}.") from exc


def quieten_grpc() -> None:
    """Keep gRPC's own lines off stderr, where sentences of ours stand; only works before gRPC is imported."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def connect(make: "Callable[..., _Client]", address: str, options: ServerOptions, **more: object) -> _Client:
    """Make a client of a server.

    Args:
        make: `Client` or `AsyncClient`, perhaps with more of their arguments.
        address: As the user wrote it.
        options: How to reach it.
        more: Further arguments of `make`.

    Raises:
        ConfigError: The address is none, or the options cannot be used.
        OSError: A file cannot be read.
    """
    try:
        return make(address, **options.given(), **more)
    except ValueError as exc:
        raise ConfigError(f"{in_flags(str(exc))}.") from exc


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def in_flags(sentence: str) -> str:
    """Name the client's arguments in a sentence of the client's as commands call them."""
    # There is no option for the token itself.
    sentence = sentence.replace("(token, token_file)", "(token_file)")
    return _ARGUMENT.sub(lambda found: _flag(found[0]), sentence)
