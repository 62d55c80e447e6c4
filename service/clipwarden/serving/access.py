"""Settings in, who may call out: TLS, tokens and names, kept to what their files say while the server runs."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import grpc

from clipwarden.engine.threads import WorkThreads
from clipwarden.serving.callers import Callers
from clipwarden.serving.config import Settings
from clipwarden.serving.health import Health
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.secretfiles import LOOK_SECONDS, Contents, OnOutcome, Outcome, SecretFiles
from clipwarden.serving.tls import EXPIRY_SUBJECT, ExpiryWatch, credentials_of, tls_files
from clipwarden.serving.tokens import Tokens, parse_tokens
from clipwarden.serving.values import is_loopback, split_address

log = logging.getLogger(__name__)


class Access:
    """A server's TLS and tokens. Lives on one event loop.

    Args:
        settings: Checked.
        metrics: Count what becomes of new files, and say when the certificate expires.
        health: Is told what is wrong with them.

    Raises:
        ConfigError: A file cannot be used.
    """

    def __init__(self, settings: Settings, metrics: Metrics, health: Health) -> None:
        self._metrics = metrics
        self._health = health
        self._tls = tls_files(settings, self._note)
        self._tokens = token_files(settings, self._note)
        self._expiry = ExpiryWatch(partial(health.note, EXPIRY_SUBJECT))
        self._watch: asyncio.Task[None] | None = None
        self._threads = WorkThreads("read secrets", threads=1, stall_seconds=settings.stall_seconds)
        tokens = self._tokens
        self.callers = Callers((lambda: tokens.current) if tokens else None)
        metrics.expect_secrets([files.subject for files in self._files], tls=self._tls is not None)
        self._note_certificate()

    @property
    def stuck(self) -> bool:
        """Whether a thread may never come back."""
        return self._threads.stuck

    def credentials(self) -> grpc.ServerCredentials | None:
        """Make what a TCP port listens with; None for plain TCP."""
        return credentials_of(self._tls) if self._tls else None

    def start(self) -> None:
        """Keep to what the files say from now on."""
        self._watch = asyncio.create_task(self._keep_looking())

    async def look(self, *, at_once: bool = False) -> None:
        """Use what the files hold, if it has changed and can be used.

        Args:
            at_once: Whether somebody says that they are whole now, as SIGHUP does.
        """
        for files in self._files:
            await files.look(self._threads, at_once=at_once)
        self._note_certificate()

    async def close(self) -> None:
        """Look no more."""
        if self._watch:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch
        self._threads.close()

    @property
    def _files(self) -> Sequence[SecretFiles[object]]:
        return [files for files in (self._tls, self._tokens) if files is not None]  # type: ignore[misc]

    async def _keep_looking(self) -> None:
        while self._files:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:  # whatever it is, tokens that are withdrawn have to be seen next time
                log.exception("a look at certificates and tokens failed")

    def _note_certificate(self) -> None:
        if self._tls:
            self._metrics.note_certificate(self._tls.current.begins, self._tls.current.expires)
            self._expiry.look(self._tls.current)

    def _note(self, subject: str, outcome: Outcome, sentence: str | None) -> None:
        self._metrics.note_secret(subject, outcome)
        # Strangers read notices, and the sentence names files and lines.
        self._health.note(subject, sentence and f"New {subject} cannot be used; the old stays. The log says why.")


def check_access(settings: Settings) -> Sequence[str]:
    """Read all that is secret once, as a server does at its start.

    Returns:
        What there is, a line each, for people.

    Raises:
        ConfigError: A file cannot be used.
    """
    lines = list[str]()
    tls, tokens = tls_files(settings), token_files(settings)
    if tls:
        clients = "" if tls.current.client_ca is None else ", client certificates required"
        lines.append(f"tls {', '.join(tls.current.names)}: expires {tls.current.expires_text}{clients}")
    if tokens:
        lines.append(f"tokens {len(tokens.current.entries)} of {', '.join(tokens.current.names)}")
    return lines


def token_files(settings: Settings, on_outcome: OnOutcome = lambda *_: None) -> SecretFiles[Tokens] | None:
    """Read the tokens that the settings name, and keep to what becomes of their file; None where they name none.

    Raises:
        ConfigError: The file cannot be used.
    """
    if settings.tokens is None:
        return None
    file = settings.tokens

    def make(contents: Contents) -> Tokens:
        return parse_tokens(contents["tokens"], file=file)

    return SecretFiles("tokens", {"tokens": file}, make, on_outcome=on_outcome)


def exposure(settings: Settings) -> Sequence[str]:
    """Say who may call that should perhaps not; sentences without their full stop."""
    if settings.listen is None or is_loopback(split_address(settings.listen)[0]):
        return []
    tls, known = settings.tls_certificate is not None, settings.tokens is not None or settings.tls_client_ca is not None
    if tls and known:
        return []
    if tls:
        return [f"{settings.listen} asks nobody who calls: set tokens or tls_client_ca, unless all that reach it may"]
    if known:
        return [f"tokens and images travel to {settings.listen} in plain text: set tls_certificate and tls_key"]
    if settings.path_root is not None and settings.path_callers == "all":
        return [f"whoever reaches {settings.listen} has files under path_root judged: set tls_certificate and tokens"]
    nothing = f"{settings.listen} is plain TCP and asks nobody who calls"
    return [f"{nothing}: set tls_certificate, tls_key and tokens, or put a proxy in front that has them"]
