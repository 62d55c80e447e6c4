"""What is given about TLS: taken together, or refused with what to mend."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from clipwarden import AsyncClient, Client
from kit.certificates import issue, pem

AUTHORITY = trustme.CA()
CHAIN, KEY = pem(issue(AUTHORITY, "me@example.org"))
ROOTS = AUTHORITY.cert_pem.bytes()
LOCKED = KEY.replace(b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"client_certificate": CHAIN}, "client_certificate and client_key go together; give both or neither"),
        ({"client_key": KEY}, "client_certificate and client_key go together"),
        ({"root_certificates": b""}, "root_certificates holds no certificate in PEM"),
        ({"root_certificates": KEY}, "root_certificates holds no certificate in PEM"),
        ({"client_certificate": KEY, "client_key": KEY}, "client_certificate holds no certificate in PEM"),
        ({"client_certificate": CHAIN, "client_key": CHAIN}, "client_key holds no private key in PEM"),
        ({"client_certificate": CHAIN, "client_key": LOCKED}, "client_key is encrypted, and nobody can be asked"),
        ({"credentials": grpc.ssl_channel_credentials(), "tls": True}, "credentials say all about TLS"),
        ({"credentials": grpc.ssl_channel_credentials(), "server_name": "a"}, "credentials say all about TLS"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError, match=said):
            kind("images:1", **given)


def test_a_file_is_named_where_it_is_at_fault(tmp_path: Path) -> None:
    path = tmp_path / "ca.der"
    path.write_bytes(b"\x30\x82")
    with pytest.raises(ValueError, match=rf"^root_certificates \({path}\) holds no certificate in PEM$"):
        Client("images:1", root_certificates=path)
    with pytest.raises(FileNotFoundError):
        AsyncClient("images:1", root_certificates=tmp_path / "none")


@pytest.mark.parametrize("given", [{}, {"tls": True}, {"root_certificates": ROOTS}, {"server_name": "a"}])
def test_what_is_given_about_tls_makes_it_tls(given: dict[str, Any]) -> None:
    with Client("images:1", **given) as client:
        assert client._connection.peer.tls is bool(given)
