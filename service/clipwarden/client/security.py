"""Certificates, as paths or PEM, in; what gRPC connects by TLS with out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import grpc

Pem: TypeAlias = str | os.PathLike[str] | bytes
"""A file of PEM, by its path; or its bytes."""

_CERTIFICATE, _KEY = b"-----BEGIN CERTIFICATE-----", b"PRIVATE KEY-----"


@dataclass(frozen=True, kw_only=True, slots=True)
class Security:
    """How a connection is secured.

    Attributes:
        credentials: gRPC's; None connects in plain text.
        has_certificate: Whether we show a certificate of our own.
        server_name: The name that the server's certificate must hold; None for the one in the address.
    """

    credentials: grpc.ChannelCredentials | None = None
    has_certificate: bool = False
    server_name: str | None = None


PLAIN_TEXT = Security()


def make_security(
    credentials: grpc.ChannelCredentials | None = None,
    *,
    tls: bool = False,
    root_certificates: Pem | None = None,
    client_certificate: Pem | None = None,
    client_key: Pem | None = None,
    server_name: str | None = None,
) -> Security:
    """Read what a connection is to be secured with; any of the last four makes it TLS.

    Args:
        credentials: Made by the caller; then none of the others.
        tls: Whether to connect by TLS, trusting the roots that come with gRPC.
        root_certificates: Trust these instead.
        client_certificate: Show this certificate, and those of its chain, to a server that asks.
        client_key: Its private key, not encrypted.
        server_name: As in `Security`.

    Raises:
        OSError: A file cannot be read.
        ValueError: The arguments contradict one another, or a file is no PEM of that kind.
    """
    by_files = (root_certificates, client_certificate, client_key, server_name)
    if credentials is not None:
        if tls or any(part is not None for part in by_files):
            raise ValueError("credentials say all about TLS; leave them out, or tls, certificates and server_name")
        return Security(credentials=credentials)
    if not tls and all(part is None for part in by_files):
        return PLAIN_TEXT
    if (client_certificate is None) != (client_key is None):
        raise ValueError("client_certificate and client_key go together; give both or neither")
    made = grpc.ssl_channel_credentials(
        _read("root_certificates", root_certificates, _CERTIFICATE),
        _read("client_key", client_key, _KEY),
        _read("client_certificate", client_certificate, _CERTIFICATE),
    )
    return Security(credentials=made, has_certificate=client_certificate is not None, server_name=server_name)


def _read(name: str, pem: Pem | None, mark: bytes) -> bytes | None:
    if pem is None:
        return None
    data = pem if isinstance(pem, bytes) else Path(pem).read_bytes()
    where = name if isinstance(pem, bytes) else f"{name} ({os.fspath(pem)})"
    if mark not in data:
        raise ValueError(f"{where} holds no {'private key' if mark is _KEY else 'certificate'} in PEM")
    if b"ENCRYPTED" in data:
        raise ValueError(f"{where} is encrypted, and nobody can be asked for its password; decrypt it")
    return data
