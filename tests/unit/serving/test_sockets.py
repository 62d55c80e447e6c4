"""Addresses: what can be bound, what is left behind by the dead, and what stands in the way."""

import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import grpc
import pytest

from clipwarden.errors import ConfigError
from clipwarden.modelfolder.load import Model
from clipwarden.serving.server import Front, running_server
from clipwarden.serving.socketaccess import SocketAccess, closed_folder, grant
from clipwarden.serving.sockets import MAX_SOCKET_PATH, bind_tcp, bind_unix, identity, release_unix
from kit.serving import colours_snapshot, settings_for_test


@pytest.fixture
async def server() -> AsyncIterator[grpc.aio.Server]:
    server = grpc.aio.server()
    yield server
    await server.stop(None)


async def test_port_zero_takes_a_free_port(server: grpc.aio.Server) -> None:
    host, _, port = bind_tcp(server, "127.0.0.1:0").rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


async def test_address_of_another_machine_is_refused_with_the_systems_reason(server: grpc.aio.Server) -> None:
    with pytest.raises(ConfigError, match="cannot assign requested address"):
        bind_tcp(server, "192.0.2.1:0")


@pytest.mark.parametrize("name", ["metrics_listen", "probe_listen"])
async def test_port_of_a_server_that_is_still_loading_is_refused(name: str) -> None:
    first = Front(settings_for_test(**{name: "127.0.0.1:0"})).listeners
    first.reserve()
    try:
        address = first.probe_address or first._address_of(name, "127.0.0.1:0")
        second = Front(settings_for_test(**{name: address})).listeners
        with pytest.raises(ConfigError, match=f"on {address}: address already in use. .* with --{name[:5]}"):
            second.reserve()
        second.close()
    finally:
        first.close()


async def test_port_of_everybody_that_overlaps_with_one_of_loopback_is_refused_before_the_load() -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    listeners = Front(settings_for_test(listen=f"0.0.0.0:{port}", probe_listen=f"127.0.0.1:{port}")).listeners
    with pytest.raises(ConfigError, match=f"Cannot listen on 0.0.0.0:{port}: address already in use"):
        listeners.reserve()
    listeners.close()


async def test_socket_of_a_dead_server_is_replaced(server: grpc.aio.Server, socket_folder: Path) -> None:
    path = socket_folder / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.is_socket()
    assert bind_unix(server, path) == f"unix:{path}"


async def test_socket_of_a_living_server_is_left_alone(server: grpc.aio.Server, socket_folder: Path) -> None:
    path = socket_folder / "s"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(ConfigError, match="another server listens there"):
            bind_unix(server, path)
        assert path.is_socket()


async def test_file_that_is_no_socket_is_left_alone(server: grpc.aio.Server, socket_folder: Path) -> None:
    path = socket_folder / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is no socket"):
        bind_unix(server, path)
    assert path.read_text() == "precious"


async def test_server_that_cannot_start_leaves_what_stands_in_its_way(toy_model: Model, socket_folder: Path) -> None:
    path = socket_folder / "s"
    settings = settings_for_test(listen=None, unix_socket=str(path))
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is no socket"):
        async with running_server(settings, colours_snapshot(toy_model)):
            pass
    assert path.read_text() == "precious"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        with pytest.raises(ConfigError, match="another server listens there"):
            async with running_server(settings, colours_snapshot(toy_model)):
                pass
        assert path.is_socket()


def test_socket_of_a_successor_outlives_its_predecessor(socket_folder: Path) -> None:
    path = socket_folder / "s"
    path.touch()
    ours = identity(path)
    (socket_folder / "new").touch()
    (socket_folder / "new").replace(path)
    release_unix(path, ours)
    assert path.exists()
    release_unix(path, identity(path))
    assert not path.exists()
    release_unix(path, identity(path))


async def test_folder_that_is_not_there_is_named(server: grpc.aio.Server, socket_folder: Path) -> None:
    with pytest.raises(ConfigError, match="its folder is not there; make it"):
        bind_unix(server, socket_folder / "none" / "s")


async def test_path_too_long_for_a_socket_is_refused(server: grpc.aio.Server, socket_folder: Path) -> None:
    with pytest.raises(ConfigError, match="longer than 107 bytes"):
        bind_unix(server, socket_folder / ("x" * MAX_SOCKET_PATH))


async def test_refusal_by_grpc_alone_is_still_told_in_a_sentence(socket_folder: Path) -> None:
    class Refusing:
        def add_insecure_port(self, _: str) -> int:
            return 0

    class Raising:
        def add_insecure_port(self, _: str) -> int:
            raise RuntimeError("no")

    for server in (Refusing(), Raising()):
        with pytest.raises(ConfigError, match="the system refused it"):
            bind_tcp(cast("grpc.aio.Server", server), "127.0.0.1:0")
        with pytest.raises(ConfigError, match="the system refused it"):
            bind_unix(cast("grpc.aio.Server", server), socket_folder / "s")


async def test_folder_that_keeps_out_whom_the_socket_lets_in_is_named(
    server: grpc.aio.Server, socket_folder: Path
) -> None:
    folder = socket_folder / "inner"
    folder.mkdir(0o755)
    for outer, mode, closed in (
        (0o755, "600", ""),
        (0o755, "666", ""),
        (0o700, "600", ""),
        (0o700, "660", "its group"),
    ):
        os.chmod(socket_folder, outer)  # noqa: PTH101
        access = SocketAccess(mode=int(mode, 8))
        bind_unix(server, folder / "s", access)
        warning = closed_folder(folder / "s", access)
        assert bool(warning) == bool(closed)
        assert not warning or f"is open to {closed}, but the folder {socket_folder} is not (mode 700)" in warning
        (folder / "s").unlink()


def test_socket_is_at_no_moment_open_wider_than_it_is_meant_to_be(socket_folder: Path) -> None:
    path, seen = socket_folder / "s", list[int]()

    class Watching:
        def add_insecure_port(self, _: str) -> int:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
            seen.append(path.stat().st_mode & 0o777)
            return 1

    before = os.umask(0)
    try:
        bind_unix(cast("grpc.aio.Server", Watching()), path, SocketAccess(mode=0o660))
        assert os.umask(0) == 0
    finally:
        os.umask(before)
    assert (seen, path.stat().st_mode & 0o777) == ([0], 0o660)


def test_file_that_took_the_sockets_place_keeps_its_permissions(socket_folder: Path) -> None:
    (socket_folder / "precious").touch(0o600)
    (socket_folder / "link").symlink_to(socket_folder / "precious")
    for name in ("precious", "link"):
        with pytest.raises(ConfigError, match="another file took its place"):
            grant(socket_folder / name, SocketAccess(mode=0o666))
    with pytest.raises(ConfigError, match="no such file"):
        grant(socket_folder / "none", SocketAccess(mode=0o666))
    assert (socket_folder / "precious").stat().st_mode & 0o777 == 0o600
