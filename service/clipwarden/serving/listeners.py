"""Settings in, everything that a server listens on out: gRPC by TCP and a Unix socket, probes and metrics over HTTP.

In two steps. `reserve` takes every address, and refuses the ones that cannot be had, before anything that takes long;
from then on probes are answered, scrapes wait, and nobody can connect to gRPC. `open` lets callers in, once gRPC can
tell them how the server fares.
"""

import logging
import socket
from contextlib import ExitStack
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry

from clipwarden.serving.config import Settings
from clipwarden.serving.health import Health
from clipwarden.serving.http import HttpListener
from clipwarden.serving.probes import Probes
from clipwarden.serving.scrapes import metrics_pages
from clipwarden.serving.socketaccess import access_of, closed_folder
from clipwarden.serving.sockets import bind_tcp, bind_unix, clear_the_way, hold_tcp, identity, release_unix

log = logging.getLogger(__name__)


class Listeners:
    """One server's addresses. Made on its event loop.

    Args:
        settings: Checked.
        health: What probes ask.

    Attributes:
        address: `HOST:PORT` of gRPC, once open; None without.
        unix_address: As clients dial it, once open; None without.
        metrics_address: `HOST:PORT`, once open; None without.
        probe_address: `HOST:PORT`, once reserved; None without.
    """

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._held: dict[str, socket.socket] = {}
        self._closing = ExitStack()
        self._reserved = False
        self.address: str | None = None
        self.unix_address: str | None = None
        self.metrics_address: str | None = None
        self.probe_address: str | None = None

    def reserve(self) -> None:
        """Take all addresses, and answer probes; once is enough.

        Raises:
            ConfigError: An address or a socket cannot be had.
        """
        if self._reserved:
            return
        self._reserved = True
        settings = self._settings
        # Those that listen at once come first: one that is only bound would not tell that they overlap with it.
        if settings.metrics_listen is not None:
            self._hold("metrics_listen", settings.metrics_listen, act="serve metrics", listening=True)
        if settings.probe_listen is not None:
            self._hold("probe_listen", settings.probe_listen, act="answer probes", listening=True)
        if settings.listen is not None:
            self._hold("listen", settings.listen)
        if settings.unix_socket is not None:
            clear_the_way(Path(settings.unix_socket).absolute(), access_of(settings))
        if settings.probe_listen is not None:
            self._answer_probes(settings.probe_listen)

    def open(
        self, server: grpc.aio.Server, registry: CollectorRegistry, credentials: grpc.ServerCredentials | None = None
    ) -> None:
        """Let callers and scrapes in.

        Args:
            server: With its services, not started yet.
            registry: Of the metrics.
            credentials: Of TLS, for gRPC by TCP; None for plain TCP.

        Raises:
            ConfigError: An address was taken meanwhile.
        """
        self.reserve()
        settings = self._settings
        if settings.listen is not None:
            self.address = bind_tcp(server, self._address_of("listen", settings.listen), credentials)
            self._held.pop("listen").close()  # only now: until gRPC listened, nobody who takes a free port got this one
        if settings.unix_socket is not None:
            self._open_unix(server, Path(settings.unix_socket).absolute())
        if settings.metrics_listen is not None:
            self.metrics_address = self._address_of("metrics_listen", settings.metrics_listen)
            metrics = HttpListener(self._held.pop("metrics_listen"), metrics_pages(registry), name="metrics")
            self._closing.callback(metrics.close)

    def close(self) -> None:
        """Let go of all of it; gRPC has stopped by then."""
        self._closing.close()
        for held in self._held.values():
            held.close()
        self._held.clear()

    def _hold(self, name: str, where: str, *, act: str = "listen", listening: bool = False) -> None:
        self._held[name] = hold_tcp(where, flag=f"--{name.replace('_', '-')}", act=act, listening=listening)

    def _address_of(self, name: str, where: str) -> str:
        """Name an address by the port that was taken."""
        return f"{where.rpartition(':')[0]}:{self._held[name].getsockname()[1]}"

    def _answer_probes(self, where: str) -> None:
        self.probe_address = self._address_of("probe_listen", where)
        probes = Probes(self._health, stall_seconds=self._settings.stall_seconds)
        every = (probes.look_seconds, probes.look)
        listener = HttpListener(self._held.pop("probe_listen"), probes.pages, name="probes", every=every)
        self._closing.callback(listener.close)
        log.info("starting", extra={"probes": self.probe_address})

    def _open_unix(self, server: grpc.aio.Server, path: Path) -> None:
        access = access_of(self._settings)
        self.unix_address = bind_unix(server, path, access)
        self._closing.callback(release_unix, path, identity(path))
        if warning := closed_folder(path, access):
            log.warning("%s", warning)
