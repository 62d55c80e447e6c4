"""Certificate and key files in, what gRPC listens with out: whoever connects is shown the pair that is there now.

gRPC asks for the pair at each handshake, in threads of its own, so what it asks is nothing but a field that the event
loop sets. Connections that are open keep what they began with. TLS 1.2 and 1.3, their ciphers, and HTTP/2 by ALPN are
gRPC's to choose.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import grpc

from clipwarden.serving.certificates import Pair, check_authorities, check_pair, try_with_grpc
from clipwarden.serving.config import Settings
from clipwarden.serving.secretfiles import Contents, OnOutcome, SecretFiles

SUBJECT = "tls"
EXPIRY_SUBJECT = "tls_expiry"
"""Of health's notice: beside that of a new pair that cannot be used, which comes and goes by itself."""
NEAR_SHARE = 0.2
"""Of a certificate's life, what is left when it is near its end: it is renewed at a third (cert-manager, certbot)."""
MOST_NEAR_SECONDS = 14 * 86_400.0
"""Where that is more than two weeks, two weeks: long enough to act, and not so long that nobody listens any more."""
REMIND_SECONDS = 86_400.0

log = logging.getLogger(__name__)


def tls_files(settings: Settings, on_outcome: OnOutcome = lambda *_: None) -> SecretFiles[Pair] | None:
    """Read the pair that the settings name, and keep to what becomes of its files; None where they name none.

    Raises:
        ConfigError: The pair cannot be used.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    paths = {"tls_certificate": settings.tls_certificate, "tls_key": settings.tls_key}
    if settings.tls_client_ca is not None:
        paths["tls_client_ca"] = settings.tls_client_ca

    def make(contents: Contents) -> Pair:
        files = (paths["tls_certificate"], paths["tls_key"])
        pair = check_pair(contents["tls_certificate"], contents["tls_key"], files=files)
        if "tls_client_ca" in contents:
            check_authorities(contents["tls_client_ca"], file=paths["tls_client_ca"])
            pair = replace(pair, client_ca=contents["tls_client_ca"])
        try_with_grpc(pair, files=paths.values())
        return pair

    return SecretFiles(SUBJECT, paths, make, on_outcome=on_outcome)


def credentials_of(files: SecretFiles[Pair]) -> grpc.ServerCredentials:
    """Make what a server listens with on one port, as long as it lives."""
    shown = files.current

    def new_pair() -> grpc.ServerCertificateConfiguration | None:
        """Give gRPC the pair if it has not had it yet; it asks one handshake after the other."""
        nonlocal shown
        if files.current is shown:
            return None
        shown = files.current
        return _configuration(shown)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(shown),
        new_pair,  # type: ignore[arg-type]  # its stubs know of no None, which says that nothing has changed
        require_client_authentication=shown.client_ca is not None,
    )


def _configuration(pair: Pair) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pair.key, pair.chain)], pair.client_ca)


class ExpiryWatch:
    """Says when the certificate in use comes near its end. Lives on one event loop.

    Args:
        tell: Told once it is over, with a sentence; None once another pair is in use.
        clock: Unix time.
    """

    def __init__(self, tell: Callable[[str | None], None], clock: Callable[[], float] = time.time) -> None:
        self._tell = tell
        self._clock = clock
        self._said: tuple[Pair, str, int] | None = None

    def look(self, pair: Pair) -> None:
        """Write a line when the pair comes near its end, one each day from then on, and one when it is over."""
        if self._said and self._said[0] is not pair:
            self._said = None
            self._tell(None)
        left = pair.expires - self._clock()
        if left > min(MOST_NEAR_SECONDS, NEAR_SHARE * (pair.expires - pair.begins)):
            return
        what = "expires" if left > 0 else "has expired"
        now = pair, what, int(left // REMIND_SECONDS)
        if now == self._said:
            return
        self._said = now
        level = logging.WARNING if left > 0 else logging.ERROR
        log.log(level, "the TLS certificate %s at %s", what, pair.expires_text, extra={"expires": pair.expires_text})
        if left <= 0:
            self._tell(f"The TLS certificate has expired at {pair.expires_text}; clients refuse it.")
