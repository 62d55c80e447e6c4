"""Bind a gRPC server's addresses, or say in one sentence why that cannot be."""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import grpc

from clipwarden.errors import ConfigError

MAX_SOCKET_PATH = 107
"""Longest path of a Unix socket, in bytes. Source: sun_path holds 108 with its NUL, unix(7)."""


def bind_tcp(server: grpc.aio.Server, where: str, credentials: grpc.ServerCredentials | None = None) -> str:
    """Listen on `HOST:PORT`.

    Args:
        server: Not started yet.
        where: Port 0 takes a free one.
        credentials: Of TLS; None listens for plain connections.

    Returns:
        `HOST:PORT` with the port that was taken.

    Raises:
        ConfigError: The address is in use, or not ours.
    """
    host, _, port = where.rpartition(":")
    try:
        bound = server.add_secure_port(where, credentials) if credentials else server.add_insecure_port(where)
    except RuntimeError as exc:
        bound, reason = 0, exc
    else:
        reason = RuntimeError()
    if not bound:
        raise ConfigError(
            f"Cannot listen on {where}: {_why_not(host.strip('[]'), int(port))}. Choose another address with --listen."
        ) from reason
    return f"{host}:{bound}"


def bind_unix(server: grpc.aio.Server, path: Path) -> str:
    """Listen on a Unix socket, replacing the file that a dead server left.

    Args:
        server: Not started yet.
        path: Of the socket.

    Returns:
        The address that clients dial.

    Raises:
        ConfigError: Somebody listens there, the file is no socket, or it cannot be written.
    """
    path = path.absolute()
    _clear_the_way(path)
    try:
        bound = server.add_insecure_port(f"unix:{path}")
    except RuntimeError as exc:
        raise ConfigError(f"Cannot listen on the Unix socket {path}: the system refused it.") from exc
    if not bound:
        raise ConfigError(f"Cannot listen on the Unix socket {path}: the system refused it.")
    return f"unix:{path}"


def identity(path: Path) -> tuple[int, int] | None:
    """Tell which file a path names now; None when there is none."""
    with suppress(OSError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None


def release_unix(path: Path, ours: tuple[int, int] | None) -> None:
    """Remove a socket's file after its server has stopped; gRPC may have done so already.

    Args:
        path: Of the socket.
        ours: Its identity when it was bound; None if it never was. Another file, such as the socket of a server
            that took over meanwhile, is left alone.
    """
    if ours is not None and identity(path) == ours:
        path.unlink(missing_ok=True)


def _why_not(host: str, port: int) -> str:
    """Ask the system itself: gRPC only says that it failed."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:
        return (exc.strerror or str(exc)).lower()
    return "the system refused it"


def _clear_the_way(path: Path) -> None:
    """Check a socket's path before gRPC does, which removes the socket of a live server without a word."""
    where = f"Cannot listen on the Unix socket {path}"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ConfigError(f"{where}: its path is longer than {MAX_SOCKET_PATH} bytes; choose a shorter one.")
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise ConfigError(f"{where}: there is a file that is no socket; remove it, or choose another path.")
        if path.exists() and _somebody_listens(path):
            raise ConfigError(f"{where}: another server listens there; stop it, or choose another path.")
        # Binding would fail later with a sentence that names no cause.
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(str(path))
        path.unlink()
    except OSError as exc:
        raise ConfigError(f"{where}: {(exc.strerror or str(exc)).lower()}.") from exc


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        error = probe.connect_ex(str(path))
    return error not in {errno.ECONNREFUSED, errno.ENOENT}
