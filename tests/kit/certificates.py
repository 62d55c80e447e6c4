"""Certificates of every kind, good and bad, and the credentials of gRPC servers that show them."""

from datetime import UTC, datetime

import grpc
import trustme

YEAR = {"past": (2019, 2020), "future": (2090, 2091)}


def pem(certificate: trustme.LeafCert) -> tuple[bytes, bytes]:
    """Give a certificate with its chain, and its key."""
    return b"".join(blob.bytes() for blob in certificate.cert_chain_pems), certificate.private_key_pem.bytes()


def issue(authority: trustme.CA, name: str, when: str | None = None) -> trustme.LeafCert:
    """Issue a certificate, valid now or in a year of the past or the future."""
    if when is None:
        return authority.issue_cert(name)
    first, last = (datetime(year, 1, 1, tzinfo=UTC) for year in YEAR[when])
    return authority.issue_cert(name, not_before=first, not_after=last)


def server_credentials(certificate: trustme.LeafCert, clients: trustme.CA | None = None) -> grpc.ServerCredentials:
    """Show a certificate; with `clients` require one of theirs."""
    chain, key = pem(certificate)
    roots = clients.cert_pem.bytes() if clients else None
    return grpc.ssl_server_credentials([(key, chain)], roots, require_client_auth=clients is not None)
