"""Certificates of every kind, good and bad, as the files that a server reads and the credentials that clients have."""

import datetime as dt
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme

PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LONG_PAST = dt.datetime(2019, 1, 1, tzinfo=dt.UTC)


@dataclass
class Authority:
    """An authority, and the folder where what it makes lies.

    Attributes:
        ca: Signs.
        folder: For files.
    """

    ca: trustme.CA
    folder: Path

    @property
    def pem(self) -> bytes:
        """Its own certificate."""
        return self.ca.cert_pem.bytes()

    def file(self, name: str = "ca.pem") -> Path:
        """Write its own certificate."""
        path = self.folder / name
        path.write_bytes(self.pem)
        return path

    def pair(self, *names: str, expired: bool = False, common_name: str | None = None) -> tuple[bytes, bytes]:
        """Make a key and a certificate, as PEM.

        Args:
            names: Host names, addresses or mail addresses.
            expired: Whether it was valid in 2019 alone.
            common_name: Beside them.
        """
        dates = {"not_before": LONG_PAST, "not_after": PAST} if expired else {}
        made = self.ca.issue_cert(*names, common_name=common_name, **dates)
        return made.private_key_pem.bytes(), b"".join(each.bytes() for each in made.cert_chain_pems)


def odd_pair(folder: Path, *options: str) -> tuple[bytes, bytes]:
    """Make a key of some other kind and its own certificate for localhost, as PEM.

    Args:
        folder: Where they may lie for a while.
        options: Of `openssl req -newkey`.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificates")
    key, certificate = folder / "odd.key", folder / "odd.crt"
    made = ["openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, "-newkey", *options], check=True, capture_output=True)
    return key.read_bytes(), certificate.read_bytes()


def authority(folder: Path) -> Authority:
    """Make an authority that nobody else knows."""
    return Authority(trustme.CA(), folder)


@dataclass
class PairFiles:
    """A certificate and its key as files, which change as those of certificate managers do.

    Attributes:
        folder: Where they lie.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        return self.folder / "tls.key"

    @property
    def settings(self) -> dict[str, str]:
        """As a server's settings name them."""
        return {"tls_certificate": str(self.certificate), "tls_key": str(self.key)}

    def write(self, pair: tuple[bytes, bytes]) -> None:
        """Put a key and its certificate in place, each by a rename."""
        for path, content in ((self.key, pair[0]), (self.certificate, pair[1])):
            put(path, content)


def put(path: Path, content: bytes | str) -> None:
    """Put a content in place by a rename."""
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content if isinstance(content, bytes) else content.encode())
    beside.replace(path)


def client_credentials(roots: bytes, pair: tuple[bytes, bytes] | None = None) -> grpc.ChannelCredentials:
    """Make what a client connects with.

    Args:
        roots: PEM of the authorities that it trusts.
        pair: Its own key and certificate.
    """
    return grpc.ssl_channel_credentials(roots, *(pair or (None, None)))
