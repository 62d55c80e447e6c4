"""A certificate, its key and those who vouch for clients in, as PEM; whether they can be used, and until when, out.

The pair is tried the way it will be used: it serves one TLS handshake in memory, with a client that trusts that very
certificate and asks for nothing but its dates and its purpose. That is Python's own `ssl`. gRPC brings another library,
BoringSSL, which takes less: so a server of gRPC listens with the pair for a moment, and keys are of those kinds alone
that gRPC's clients take as well.
"""

import os
import re
import ssl
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from clipwarden.errors import ConfigError, why_of

STEPS = 8
"""Turns of a handshake until it counts as failed; TLS 1.3 takes two."""
KEY_KINDS = (
    bytes.fromhex("300d06092a864886f70d0101010500"),  # RSA
    bytes.fromhex("06072a8648ce3d020106082a8648ce3d030107"),  # P-256
    bytes.fromhex("06072a8648ce3d020106052b81040022"),  # P-384
)
"""How certificates name the kinds of key that BoringSSL's clients take. Source: RFC 3279, 2.3, and RFC 5480, 2.1.1."""
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A certificate with its key, checked.

    Attributes:
        chain: PEM; the certificate itself comes first.
        key: PEM; not shown where the object is printed.
        client_ca: PEM of those who vouch for clients; None where clients show no certificate.
        begins: When the certificate began to be valid, as Unix time.
        expires: Until when it is, as Unix time.
        names: Of the host, as the certificate has them.
    """

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None = None
    begins: float
    expires: float
    names: Sequence[str] = ()

    @property
    def expires_text(self) -> str:
        """When it expires, for people."""
        return _date(self.expires)


def check_pair(chain: bytes, key: bytes, *, files: tuple[str, str]) -> Pair:
    """Check that a certificate and a key can be used together, now.

    Args:
        chain: PEM of the certificate and of those between it and its authority.
        key: PEM of its key.
        files: Their paths, for messages.

    Raises:
        ConfigError: They cannot.
    """
    certificate_file, key_file = f"tls_certificate: {files[0]}", f"tls_key: {files[1]}"
    leaf = _BLOCK.search(chain)
    if not leaf:
        raise ConfigError(f"{certificate_file} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).")
    if b"PRIVATE KEY-----" not in key:
        raise ConfigError(f"{key_file} holds no private key in PEM (-----BEGIN PRIVATE KEY-----).")
    client = _trusting(leaf[0], certificate_file)
    server = _serving(chain, key, certificate_file, key_file)
    facts = _shaken_hands(server, client, certificate_file)
    if not any(kind in ssl.PEM_cert_to_DER_cert(leaf[0].decode()) for kind in KEY_KINDS):
        raise ConfigError(f"{certificate_file}: gRPC clients do not take its kind of key; use RSA, P-256 or P-384.")
    names = [str(value) for _, value in facts.get("subjectAltName", ())]
    begins, expires = (float(ssl.cert_time_to_seconds(facts[name])) for name in ("notBefore", "notAfter"))
    return Pair(chain=chain, key=key, begins=begins, expires=expires, names=names)


def check_authorities(pem: bytes, *, file: str) -> None:
    """Check that certificates of authorities can be used to verify clients.

    Args:
        pem: One or more certificates.
        file: Its path, for messages.

    Raises:
        ConfigError: There is none, or all have expired.
    """
    where = f"tls_client_ca: {file}"
    blocks = _BLOCK.findall(pem)
    if not blocks:
        raise ConfigError(f"{where} holds no certificate in PEM (-----BEGIN CERTIFICATE-----).")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for block in blocks:
        _trust(context, block, where)
    ends = [ssl.cert_time_to_seconds(str(found["notAfter"])) for found in context.get_ca_certs()]
    if ends and max(ends) < time.time():
        raise ConfigError(f"{where}: every certificate in it has expired, the last one at {_date(max(ends))}.")


def try_with_grpc(pair: Pair, *, files: Iterable[str]) -> None:
    """Have a server of gRPC listen with a pair for a moment, on loopback.

    Args:
        pair: Checked otherwise.
        files: Their paths, for messages.

    Raises:
        ConfigError: It cannot.
    """
    server = grpc.server(ThreadPoolExecutor(max_workers=1))  # which begins a thread with the first call, so never
    shown = [(pair.key, pair.chain)]
    try:
        server.add_secure_port(
            "127.0.0.1:0", grpc.ssl_server_credentials(shown, pair.client_ca, pair.client_ca is not None)
        )
    except RuntimeError:
        raise ConfigError(
            f"gRPC cannot listen with {', '.join(files)}; use a plain key, RSA of 2048 bits or P-256."
        ) from None
    finally:
        server.start()  # without, its port would stay open
        server.stop(None).wait()


def _trusting(leaf: bytes, where: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    _trust(context, leaf, where)
    return context


def _trust(context: ssl.SSLContext, pem: bytes, where: str) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ConfigError(f"{where} holds a damaged certificate.") from None


def _serving(chain: bytes, key: bytes, certificate_file: str, key_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    encrypted = False

    def password() -> bytes:
        """Note that one is asked for; without this, OpenSSL would ask on the terminal."""
        nonlocal encrypted
        encrypted = True
        return b""

    try:
        with _in_file(chain) as chain_path, _in_file(key) as key_path:
            context.load_cert_chain(chain_path, key_path, password)
    except (ssl.SSLError, ValueError, OSError) as exc:
        raise ConfigError(_why_not(exc, certificate_file, key_file, encrypted=encrypted)) from None
    return context


def _why_not(exc: Exception, certificate_file: str, key_file: str, *, encrypted: bool) -> str:
    if encrypted:
        return (
            f"{key_file} is encrypted; a server that starts by itself needs it plain (openssl pkey -in OLD -out NEW)."
        )
    if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError):  # the machine's: no descriptor, no memory
        return f"{certificate_file} and {key_file} cannot be tried: {why_of(exc)}."
    reason = getattr(exc, "reason", None) or ""
    if "MISMATCH" in reason:
        return f"{key_file} is not the key of the certificate in {certificate_file.partition(': ')[2]}."
    if reason in {"EE_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "CA_KEY_TOO_SMALL"}:
        return f"{certificate_file} is too weak a certificate ({reason.lower().replace('_', ' ')})."
    return f"{certificate_file} and {key_file} cannot be used together: one of them is damaged."


def _shaken_hands(server: ssl.SSLContext, client: ssl.SSLContext, where: str) -> dict[str, Any]:
    """Have the pair serve one handshake, and return what the client learned of the certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    try:
        for _ in range(STEPS):
            done = [_step(side) for side in (asking, answering)]
            if all(done):
                return dict(asking.getpeercert() or {})
    except ssl.SSLCertVerificationError as exc:
        raise ConfigError(f"{where}: {exc.verify_message}.") from None
    except ssl.SSLError as exc:
        raise ConfigError(f"{where} serves no TLS connection ({exc.reason}).") from None
    raise ConfigError(f"{where} serves no TLS connection.")


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@contextmanager
def _in_file(content: bytes) -> Iterator[str]:
    """Lend a content as a file, which is all that `ssl` reads; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("pem", os.MFD_CLOEXEC)
        try:
            os.write(handle, content)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "pem")
            path.touch(mode=0o600)
            path.write_bytes(content)
            yield str(path)


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
