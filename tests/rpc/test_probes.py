"""Probes against real servers: the truth while starting, serving, overloaded, stalled, starved and draining."""

import asyncio
import gzip
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from clipwarden.errors import ConfigError
from clipwarden.machine import affinity_cpus
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.addresses import free_address
from kit.serverprocess import Process, serve_process, talk
from kit.serving import colours_yaml, connected, eventually, picture, serving

PROBES = {"probe_listen": "127.0.0.1:0"}
SERVE = [sys.executable, "-m", "clipwarden", "serve", "--vector-cache", ""]


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


async def moderate(server: Process, data: bytes) -> pb.Verdict.ValueType:
    async with connected(server.target) as connection:
        return (await connection.moderate(data, timeout=60)).verdict


async def test_server_that_loads_lives_is_not_ready_and_takes_no_connection(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    listen = free_address()
    settings = {**PROBES, "listen": listen, "drain_delay_seconds": 1000}
    starting = serve_process(toy_folder, policy, tmp_path, socket_folder, faults=["start-held"], **settings)
    async with starting as server:
        assert await server.probe("/readyz") == (503, "starting")
        assert await server.probe("/livez") == (200, "live")
        with pytest.raises(ConnectionRefusedError):
            await talk(listen, b"")
        (server.faults / "start-held").unlink()
        await server.probe_becomes("/readyz", 200, "serving")
        assert await moderate(server, picture("red")) == pb.VERDICT_BLOCK
        server.process.send_signal(signal.SIGTERM)
        await server.probe_becomes("/readyz", 503, "draining")
        assert await server.probe("/livez") == (200, "live")
        assert await server.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_while_loading_ends_the_server_at_once(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, number: int
) -> None:
    starting = serve_process(toy_folder, policy, tmp_path, socket_folder, faults=["start-held"], **PROBES)
    async with starting as server:
        assert await server.probe("/readyz") == (503, "starting")
        assert await server.end(number) == 0
        assert (server.faults / "start-held").exists()
    assert server.lines()[-1]["message"] == "stopped before it served"


async def test_server_whose_runs_are_all_stuck_is_stalled_then_asks_for_a_restart(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = {**PROBES, "stall_seconds": 0.5, "encoder_runs": 1}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **settings) as server:
        with server.fault("hold-green"):
            with pytest.raises(grpc.aio.AioRpcError):
                await moderate(server, picture("green"))
            await server.probe_becomes("/readyz", 503, "stalled")
            await server.probe_becomes("/livez", 503, "stalled for too long")
        await server.probe_becomes("/readyz", 200, "serving")
        await server.probe_becomes("/livez", 200, "live")


async def test_server_whose_encoder_fails_is_unhealthy(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **PROBES) as server:
        with server.fault("throw-any"):
            with pytest.raises(grpc.aio.AioRpcError):
                await moderate(server, picture("green"))
            await server.probe_becomes("/readyz", 503, "unhealthy")
            assert await server.probe("/livez") == (200, "live")
        await server.probe_becomes("/readyz", 200, "serving")


async def test_event_loop_that_hangs_is_told_by_a_thread_that_does_not(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = {**PROBES, "stall_seconds": 0.5, "metrics_listen": "127.0.0.1:0"}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **settings) as server:
        with server.fault("loop-held"):
            await server.probe_becomes("/readyz", 503, "stalled")
            assert (await server.metrics())["ready"] == 1  # as health says; scrapes need no turn of the loop either
            await server.probe_becomes("/livez", 503, "the event loop does not turn")
        await server.probe_becomes("/livez", 200, "live")
        await server.probe_becomes("/readyz", 200, "serving")


async def test_overloaded_server_is_ready_and_lives(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = {**PROBES, "queue_items": 4, "encoder_runs": 1, "stall_seconds": 3600}
    codes: list[grpc.StatusCode] = []
    async with (
        serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **settings) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)

        async def call(number: int) -> None:
            image = pb.ImageSource(data=picture("green", number=number))
            try:
                await stub.Moderate(pb.ModerateRequest(image=image), timeout=60)
                codes.append(grpc.StatusCode.OK)
            except grpc.aio.AioRpcError as exc:
                codes.append(exc.code())

        with server.fault("hold-green"):
            calls = [asyncio.create_task(call(number)) for number in range(40)]
            await eventually(lambda: grpc.StatusCode.RESOURCE_EXHAUSTED in codes)
            for _ in range(20):
                assert await server.probe("/readyz") == (200, "serving")
                assert await server.probe("/livez") == (200, "live")
        await asyncio.gather(*calls)
    assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}


@contextmanager
def every_core_busy() -> Iterator[None]:
    """Keep every core busy by two processes each."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * affinity_cpus())]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


async def test_busy_cores_fail_neither_probe(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    done = asyncio.Event()
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, **PROBES) as server:

        async def load() -> None:
            number = 0
            while not done.is_set():
                number += 1
                assert await moderate(server, picture("red", number=number % 4096)) == pb.VERDICT_BLOCK

        with every_core_busy():
            callers = [asyncio.create_task(load()) for _ in range(4)]
            for _ in range(40):
                assert await server.probe("/livez") == (200, "live")
                assert await server.probe("/readyz") == (200, "serving")
            done.set()
            await asyncio.gather(*callers)


async def test_process_that_runs_a_tenth_of_the_time_or_stood_still_needs_no_restart(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    # Short stalls: a clock would have found the loop dead many times over.
    settings = {**PROBES, "stall_seconds": 0.2}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server:

        async def pause(seconds: float) -> None:
            server.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            server.process.send_signal(signal.SIGCONT)

        await pause(3.0)  # fifteen stalls
        assert await server.probe("/livez") == (200, "live")
        asking = [asyncio.create_task(server.probe("/livez")) for _ in range(20)]
        while not all(task.done() for task in asking):
            await pause(0.09)  # of a period of 100 ms, as of a quota of 0.1
            await asyncio.sleep(0.01)
        assert {task.result() for task in asking} == {(200, "live")}


async def test_metrics_are_at_one_path_and_probes_elsewhere(toy_model: Model) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0", probe_listen="127.0.0.1:0") as rig:
        metrics, probes = rig.server.metrics_address, rig.server.listeners.probe_address
        assert metrics
        assert probes
        for address, path, status in (
            (metrics, "/metrics", 200),
            (metrics, "/", 404),
            (metrics, "/readyz", 404),
            (metrics, "/livez", 404),
            (metrics, "/metrics/x", 404),
            (probes, "/readyz", 200),
            (probes, "/livez?verbose", 200),
            (probes, "/metrics", 404),
            (probes, "/", 404),
        ):
            answer = await talk(address, f"GET {path} HTTP/1.1\r\n\r\n".encode())
            assert (path, int(answer.split()[1])) == (path, status)


@pytest.mark.parametrize(
    ("headers", "kind", "starts"),
    [
        ("", b"text/plain; version=0.0.4", b"# HELP"),
        ("Accept: application/openmetrics-text; version=1.0.0\r\n", b"application/openmetrics-text", b"# HELP"),
        ("Accept: application/openmetrics-text; version=none\r\n", b"text/plain; version=0.0.4", b"# HELP"),
        ("Accept-Encoding: gzip\r\n", b"text/plain; version=0.0.4", b"\x1f\x8b"),
    ],
)
async def test_metrics_come_in_the_form_that_is_asked_for(
    toy_model: Model, headers: str, kind: bytes, starts: bytes
) -> None:
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        assert rig.server.metrics_address
        answer = await talk(rig.server.metrics_address, f"GET /metrics HTTP/1.1\r\n{headers}\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: " + kind in head
    assert body.startswith(starts)
    text = gzip.decompress(body) if b"Content-Encoding: gzip" in head else body
    assert b"clipwarden_ready 1.0" in text


@pytest.mark.parametrize("setting", ["listen", "metrics-listen", "probe-listen"])
def test_busy_port_ends_the_start_in_one_sentence_before_anything_is_loaded(setting: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        given = {"listen": "127.0.0.1:0", "metrics-listen": "", "probe-listen": ""} | {setting: address}
        options = [part for name, value in given.items() for part in (f"--{name}", value)]
        done = subprocess.run(
            [*SERVE, "--model", str(tmp_path / "none"), *options],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    (sentence,) = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert f"on {address}: address already in use. Choose another address with --{setting}." in sentence


async def test_two_servers_cannot_share_an_address_in_silence(toy_model: Model) -> None:
    async with serving(toy_model, probe_listen="127.0.0.1:0") as rig:
        taken = rig.server.listeners.probe_address
        with pytest.raises(ConfigError, match=r"Cannot answer probes on .*in use"):
            async with serving(toy_model, probe_listen=taken):
                pass


# Another user may not be let to read our interpreter: programs read all they need as root, and then become that user.
BECOME = """
import os, sys
def become(user, group):
    os.setgroups([]); os.setgid(int(group)); os.setuid(int(user))
"""
CALLER = f"""
{BECOME}
import grpc
from clipwarden.v1 import moderation_pb2 as pb, moderation_pb2_grpc
become(*sys.argv[2:])
with grpc.insecure_channel(sys.argv[1]) as channel:
    request = pb.ModerateRequest(image=pb.ImageSource(data=sys.stdin.buffer.read()))
    try:
        print(moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request, timeout=60).moderation.verdict)
    except grpc.RpcError as exc:
        print(exc.code().name, exc.details())
"""
RESERVE = f"""
{BECOME}
from pathlib import Path
from clipwarden.errors import ConfigError
from clipwarden.serving import socketaccess, sockets
from clipwarden.serving.config import Settings
become(12345, 12345)
access = socketaccess.access_of(Settings(**{{sys.argv[2]: sys.argv[3]}}))
try:
    sockets.clear_the_way(Path(sys.argv[1]), access)
except ConfigError as error:
    print(error)
"""
USER, GROUP = 12345, 54321  # nobody's


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize(
    "case",
    [
        ("660", GROUP, str(pb.VERDICT_BLOCK)),
        ("660", USER, "Permission denied"),
        ("600", GROUP, "Permission denied"),
        ("666", USER, str(pb.VERDICT_BLOCK)),
    ],
)
async def test_another_user_judges_through_the_socket_where_mode_and_group_say_so(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, case: tuple[str, int, str]
) -> None:
    mode, group, said = case
    os.chmod(socket_folder, 0o755)  # noqa: PTH101, S103
    settings = {"unix_socket_mode": mode, "unix_socket_group": GROUP}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server:
        found = os.stat(server.socket)  # noqa: PTH116
        assert (found.st_mode & 0o777, found.st_gid) == (int(mode, 8), GROUP)
        command = [sys.executable, "-c", CALLER, server.target, str(USER), str(group)]
        done = await asyncio.to_thread(
            subprocess.run, command, input=picture("red"), capture_output=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stderr.decode()
        assert said in done.stdout.decode()
        assert await moderate(server, picture("red")) == pb.VERDICT_BLOCK  # by root
        assert await server.end() == 0
    assert os.listdir(socket_folder) == []  # noqa: PTH208


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("unix_socket_owner", "to the user 0: this process (user 12345) may not. Only root may give files away"),
        ("unix_socket_group", "to the group 0: this process (user 12345) may not. Name a group"),
    ],
)
def test_socket_that_may_not_be_given_away_is_told_of_in_one_sentence(
    socket_folder: Path, setting: str, sentence: str
) -> None:
    os.chown(socket_folder, USER, USER)
    command = [sys.executable, "-c", RESERVE, str(socket_folder / "s"), setting, "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    (said,) = done.stdout.splitlines()
    assert sentence in said
    assert list(socket_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--unix-socket-group", "nobody-is-called-so", "there is no such group here. Write another, or its number."),
        ("--unix-socket-owner", "nobody-is-called-so", "there is no such user here. Write another, or its number."),
        ("--unix-socket-owner", "4294967295", "it must be a name, or a number from 0 to 4294967294"),
        ("--unix-socket-mode", "rw", "it must be permissions in octal, such as 600, 660 or 666"),
        ("--unix-socket-mode", "444", "nobody could connect, which takes the right to write"),
        ("--unix-socket", "@name", "abstract sockets have no permissions, so write a path"),
        ("--unix-socket", "unix:/run/s", "write the path alone"),
    ],
)
def test_socket_that_cannot_be_had_ends_the_start_in_one_sentence(
    socket_folder: Path, option: str, value: str, sentence: str
) -> None:
    given = {"--listen": "", "--metrics-listen": "", "--unix-socket": str(socket_folder / "s"), option: value}
    options = [part for pair in given.items() for part in pair]
    done = subprocess.run([*SERVE, *options], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    (said,) = done.stderr.splitlines()
    assert sentence in said
    assert list(socket_folder.iterdir()) == []
