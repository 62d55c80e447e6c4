"""Bind a gRPC server's addresses, or say in one sentence why that cannot be."""

import errno
import os
import socket
import stat
from contextlib import nullcontext, suppress
from pathlib import Path

import grpc

from clipwarden.errors import ConfigError, why_of
from clipwarden.serving.socketaccess import SocketAccess, grant, nobody_may_connect
from clipwarden.serving.values import split_address

MAX_SOCKET_PATH = 107
"""Longest path of a Unix socket, in bytes. Source: sun_path holds 108 with its NUL, unix(7)."""


def hold_tcp(where: str, *, flag: str, act: str = "listen", listening: bool = False) -> socket.socket:
    """Bind `HOST:PORT`: a busy port is told of at once.

    Args:
        where: Port 0 takes a free one.
        flag: Option that chooses another address.
        act: What it is for, as a sentence goes on behind "Cannot".
        listening: Whether it listens at once, and whoever connects waits to be served; another process that starts
            meanwhile cannot take it then. Otherwise nobody connects, and gRPC can still listen there.

    Raises:
        ConfigError: The address is in use, or not ours.
    """
    try:
        return _bound(*split_address(where), listening=listening)
    except (OSError, UnicodeError) as exc:  # UnicodeError: of a host that is no name
        why = (getattr(exc, "strerror", None) or str(exc)).lower()
        raise ConfigError(f"Cannot {act} on {where}: {why}. Choose another address with {flag}.") from exc


def _bound(host: str, port: int, *, listening: bool = False) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    found = socket.socket(family, kind, protocol)
    try:
        # As gRPC and everybody does: connections of before that are not quite gone would keep the port busy. Whoever
        # listens there keeps it from us all the same.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # [::] is everybody, as it is to gRPC
        found.bind(address)
        if listening:
            found.listen()
    except OSError:
        found.close()
        raise
    return found


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


def bind_unix(server: grpc.aio.Server, path: Path, access: SocketAccess | None = None) -> str:
    """Listen on a Unix socket, replacing the file that a dead server left.

    Args:
        server: Not started yet.
        path: Of the socket.
        access: Who may connect; None leaves what the umask of this process makes of it.

    Returns:
        The address that clients dial.

    Raises:
        ConfigError: Somebody listens there, the file is no socket, it cannot be written, or not be given to whom it
            is to belong.
    """
    path = path.absolute()
    clear_the_way(path, access)
    # gRPC makes the file: closed to everybody, until it belongs to whom it should.
    with nobody_may_connect() if access else nullcontext():
        try:
            bound = server.add_insecure_port(f"unix:{path}")
        except RuntimeError as exc:
            raise ConfigError(f"Cannot listen on the Unix socket {path}: the system refused it.") from exc
    if not bound:
        raise ConfigError(f"Cannot listen on the Unix socket {path}: the system refused it.")
    if access:
        grant(path, access)
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
        _bound(host, port).close()
    except OSError as exc:
        return why_of(exc)
    return "the system refused it"


def clear_the_way(path: Path, access: SocketAccess | None = None) -> None:
    """Check a socket's path before gRPC does, which removes the socket of a live server without a word.

    Args:
        path: Absolute; free when this returns.
        access: Tried on a socket that nobody listens on.

    Raises:
        ConfigError: As `bind_unix`.
    """
    where = _refusal(path)
    check_unix(path)
    try:
        if path.exists() and _somebody_listens(path):
            raise ConfigError(f"{where}: another server listens there; stop it, or choose another path.")
        # Binding would fail later with a sentence that names no cause.
        path.unlink(missing_ok=True)
        _try_out(path, access)
    except OSError as exc:
        raise ConfigError(f"{where}: {why_of(exc)}.") from exc


def check_unix(path: Path) -> None:
    """Tell whether a Unix socket could be there, whoever listens on it now; makes and removes nothing.

    Args:
        path: Of the socket.

    Raises:
        ConfigError: Its path is too long, its folder is not there, or it is no socket. Whether the folder may be
            written to is left open: who checks may be another user than who serves.
    """
    path = path.absolute()
    where = _refusal(path)
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ConfigError(f"{where}: its path is longer than {MAX_SOCKET_PATH} bytes; choose a shorter one.")
    try:
        if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
            raise ConfigError(f"{where}: there is a file that is no socket; remove it, or choose another path.")
    except OSError as exc:
        raise ConfigError(f"{where}: {why_of(exc)}.") from exc
    if not path.parent.is_dir():
        raise ConfigError(f"{where}: its folder is not there; make it, or choose another path.")


def _refusal(path: Path) -> str:
    return f"Cannot listen on the Unix socket {path}"


def _try_out(path: Path, access: SocketAccess | None) -> None:
    with socket.socket(socket.AF_UNIX) as probe, nobody_may_connect():
        probe.bind(str(path))
    try:
        if access:
            grant(path, access)
    finally:
        path.unlink()


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        error = probe.connect_ex(str(path))
    return error not in {errno.ECONNREFUSED, errno.ENOENT}
