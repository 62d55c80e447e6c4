"""`clipwarden serve` with TLS and tokens as a process of its own: its log, its metrics, and how it fails to start."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.serving.tokens import line_of, make_token
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.authorities import Authority, PairFiles, authority, client_credentials, put
from kit.serverprocess import Process, serve_process
from kit.serving import colours_yaml, eventually, picture

IMAGE = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))
PLAIN = "plain"


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


HOST = "127.0.0.1"
"""Not localhost: of its two addresses the refused one can end a call before the other has been asked."""


@pytest.fixture
def served(toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path) -> tuple[Path, Path, Path, Path]:
    """What every server of this module is started with."""
    return toy_folder, policy, tmp_path, socket_folder


@pytest.fixture
def ca(tmp_path: Path) -> Authority:
    return authority(tmp_path)


@pytest.fixture
def files(tmp_path: Path, ca: Authority) -> PairFiles:
    files = PairFiles(tmp_path)
    files.write(ca.pair(HOST))
    return files


def address_of(server: Process) -> tuple[str, int]:
    address = next(str(line["address"]) for line in server.lines() if line["message"] == "serving")
    return HOST, int(address.rpartition(":")[2])


async def counts(server: Process, cause: str) -> None:
    await server.until(lambda found: found[f"tls_handshake_failures_total{{cause={cause}}}"] >= 1)


async def called(
    server: Process, roots: Authority, pair: tuple[bytes, bytes] | str | None = None, token: str = ""
) -> grpc.StatusCode:
    """Judge an image by a connection of its own; with PLAIN for a pair, without TLS."""
    target, options = ":".join(map(str, address_of(server))), [("grpc.use_local_subchannel_pool", 1)]
    if isinstance(pair, str):
        channel = grpc.aio.insecure_channel(target, options)
    else:
        channel = grpc.aio.secure_channel(target, client_credentials(roots.pem, pair), options)
    async with channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        try:
            await stub.Moderate(IMAGE, metadata=[("authorization", f"Bearer {token}")] if token else [])
        except grpc.aio.AioRpcError as exc:
            return exc.code()
    return grpc.StatusCode.OK


async def test_failed_handshakes_are_lines_of_the_log_and_counted_by_cause(
    served: tuple[Path, Path, Path, Path], ca: Authority, files: PairFiles
) -> None:
    other = authority(files.folder)
    settings = files.settings | {"tls_client_ca": ca.file(), "listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0"}
    async with serve_process(*served, **settings) as server:
        turned_away = {
            "untrusted": (ca, other.pair("shop.example")),
            "expired": (ca, ca.pair("shop.example", expired=True)),
            "missing": (ca, None),
            "no_tls": (ca, PLAIN),
        }
        for cause, (roots, pair) in turned_away.items():
            assert await called(server, roots, pair) is grpc.StatusCode.UNAVAILABLE
            await counts(server, cause)
        assert await called(server, ca, ca.pair("shop.example")) is grpc.StatusCode.OK
        assert await server.end() == 0
    # Every line is JSON: nothing of gRPC's own stands between.
    refused = [line for line in server.lines() if str(line["message"]).startswith("refused ")]
    assert {str(line["cause"]) for line in refused} == set(turned_away)
    assert all("Handshake failed" in str(line["grpc"]) and line["level"] == "warning" for line in refused)


async def test_hangup_takes_new_files_up_at_once_and_no_token_is_ever_shown(
    served: tuple[Path, Path, Path, Path], ca: Authority, files: PairFiles
) -> None:
    tmp_path = files.folder
    tokens, old, new = tmp_path / "tokens", make_token(), make_token()
    put(tokens, f"uploads {old}\n")
    settings = files.settings | {"tokens": tokens, "listen": "127.0.0.1:0", "metrics_listen": "127.0.0.1:0"}
    settings |= {"log_level": "debug"}
    async with serve_process(*served, **settings) as server:
        assert await called(server, ca, token=old) is grpc.StatusCode.OK
        other = authority(tmp_path)
        put(tokens, line_of("uploads", new))
        files.write(other.pair(HOST))
        server.process.send_signal(signal.SIGHUP)
        await eventually(lambda: sum(str(line["message"]).startswith("loaded new") for line in server.lines()) == 2)
        assert await called(server, other, token=new) is grpc.StatusCode.OK
        assert await called(server, other, token=old) is grpc.StatusCode.UNAUTHENTICATED
        found = await server.metrics()
        assert found["caller_requests_total{caller=uploads}"] == 2
        assert await server.end() == 0
    log = server.log.read_text()
    assert not any(token[:10] in log for token in (old, new))
    assert {line["reason"] for line in server.lines() if "reason" in line} == {"TOKEN_INVALID"}


async def test_busy_port_is_one_sentence(toy_folder: Path, policy: Path, files: PairFiles) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        arguments = ["--listen", where, "--metrics-listen", "", "--model", str(toy_folder), "--policy", str(policy)]
        code, err = await asyncio.to_thread(_served, *arguments, *_flags(files.settings))
    plain = [line for line in err.splitlines() if not line.startswith("{")]
    assert code == 2
    assert len(plain) == 1
    assert plain[0].startswith(f"Cannot listen on {where}: address already in use")


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("bad", ["tls_key", "tokens"])
def test_file_that_cannot_be_used_ends_the_start_and_the_check_with_one_sentence(
    toy_folder: Path, policy: Path, tmp_path: Path, files: PairFiles, bad: str, *, check: bool
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("uploads password-of-mine\n")
    if bad == "tls_key":
        tokens.write_text(f"uploads {make_token()}\n")
        put(files.key, b"nothing")
    settings = files.settings | {"tokens": str(tokens), "model": str(toy_folder), "policy": str(policy)}
    code, err = _served("--listen", "127.0.0.1:0", "--metrics-listen", "", *_flags(settings), *["--check"] * check)
    plain = [line for line in err.splitlines() if not line.startswith("{")]
    assert code == 2
    assert len(plain) == 1
    assert bad in plain[0]
    assert "password-of-mine" not in err


def _flags(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def _served(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "clipwarden.cli.main", "serve", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    for line in done.stderr.splitlines():
        if line.startswith("{"):
            json.loads(line)
    return done.returncode, done.stderr
