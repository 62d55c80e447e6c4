"""`clipwarden health` as probes run it, against real servers: what it says, and with which exit code."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2_grpc

from clipwarden.modelfolder.load import Model
from clipwarden.serving.health import Health, State
from kit.addresses import own_host
from kit.certificates import issue, server_credentials
from kit.serving import Rig, serving

PROGRAM = [sys.executable, "-m", "clipwarden", "health"]
QUIET = {name: value for name, value in os.environ.items() if not name.startswith("CLIPWARDEN_")}


async def ask(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run the command; return its exit code, and what it printed on stdout and stderr."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments, stdout=pipe, stderr=pipe, env={**QUIET, **(environment or {})}
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode().strip(), err.decode().strip()


def addresses(rig: Rig) -> list[str]:
    server = rig.server
    found = [server.address, server.unix_address, f"http://{server.listeners.probe_address}"]
    return [str(each) for each in found]


async def test_state_and_notices_are_told_by_every_way(toy_model: Model, socket_folder: Path) -> None:
    settings = {"unix_socket": str(socket_folder / "s"), "probe_listen": "127.0.0.1:0"}
    async with serving(toy_model, **settings) as rig:
        health = rig.server.health
        for address in addresses(rig):
            assert await ask(address) == (0, "serving", "")
        health.note("policies", "half of them \x1b[31m é")
        for address in addresses(rig):
            code, out, _ = await ask(address)
            assert (code, out) == (0, "serving\npolicies: half of them \\x1b[31m é")
            code, out, _ = await ask(address, "--json")
            told = {"good": True, "state": "serving", "notices": {"policies": "half of them \x1b[31m é"}}
            assert (code, json.loads(out)) == (0, {"address": address, **told})
        health.note("policies", None)
        for state in (State.STALLED, State.UNHEALTHY):
            health.set_serving(False, otherwise=state)
            for address in addresses(rig):
                assert (await ask(address))[:2] == (6, state)
                assert (await ask(address, "--live"))[0] == 0
        waiting = [asyncio.create_task(ask(address, "--wait=100")) for address in addresses(rig)]
        health.set_serving(True)
        assert {(await task)[:2] for task in waiting} == {(0, "serving")}
        await rig.server.drain()
        for address in addresses(rig):
            assert (await ask(address))[:2] == (6, "draining")


async def test_notices_without_end_are_cut_short_over_grpc(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        rig.server.health.note("policies", "x" * 100_000)
        code, out, _ = await ask(str(rig.server.address))
        assert (code, out) == (0, "serving\npolicies: see the log")


async def test_server_of_the_environment_is_asked_without_an_address(
    toy_model: Model, socket_folder: Path, tmp_path: Path
) -> None:
    path = str(socket_folder / "s")
    async with serving(toy_model, unix_socket=path, probe_listen="127.0.0.1:0") as rig:
        tcp, unix, http = addresses(rig)
        everybody = f"0.0.0.0:{http.rpartition(':')[2]}"
        file = tmp_path / "settings.yaml"
        await asyncio.to_thread(file.write_text, f"listen: {tcp}\n")
        for environment, asked in (
            ({"CLIPWARDEN_LISTEN": tcp}, tcp),
            ({"CLIPWARDEN_LISTEN": tcp, "CLIPWARDEN_UNIX_SOCKET": path}, unix),
            ({"CLIPWARDEN_UNIX_SOCKET": path, "CLIPWARDEN_PROBE_LISTEN": everybody}, http),
            ({"CLIPWARDEN_CONFIG": str(file)}, tcp),
        ):
            code, out, _ = await ask("--json", environment=environment)
            assert (code, json.loads(out)["address"]) == (0, asked)


async def test_nobody_and_others_that_answer_are_told_apart_from_a_server_that_does_not_serve(
    toy_model: Model,
) -> None:
    with socket.create_server((own_host(), 0)) as silent:
        nobody = "{}:{}".format(*silent.getsockname())
        for address in (nobody, f"http://{nobody}"):  # takes connections, and says nothing
            code, out, _ = await ask(address, "--timeout", "0.3")
            assert code == 7
            assert "no answer within 0.3 s" in out or "never says a word" in out
    assert (await ask(f"http://{nobody}"))[:2] == (7, f"http://{nobody}: connection refused")
    for address, why in ((nobody, "nothing listens there"), ("unix:/nowhere/s", "there is no socket of that name")):
        code, out, _ = await ask(address)
        assert (code, out.startswith(f"No clipwarden server answers at {address}: {why}; ")) == (7, True), out
    async with serving(toy_model, metrics_listen="127.0.0.1:0") as rig:
        assert rig.server.metrics_address
        code, out, _ = await ask(f"http://{rig.server.metrics_address}")
        assert (code, "is not the probe listener" in out) == (7, True)
        code, out, _ = await ask(f"http://{rig.server.address}")
        assert code == 7


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (["localhost"], {}, "'localhost' is no address; write HOST:PORT, unix:PATH or http://HOST:PORT."),
        (["https://localhost:1"], {}, "'https://localhost:1' is no address"),
        (["http://localhost:1/readyz"], {}, "is no address"),
        (["localhost:1", "--wait", "-1"], {}, "--wait is -1"),
        (["localhost:1", "--timeout", "nan"], {}, "--timeout is nan"),
        (["localhost:1", "--root-certificates", "/nowhere.pem"], {}, "/nowhere.pem: No such file"),
        (["http://localhost:1", "--root-certificates", "/nowhere.pem"], {}, "TLS is for gRPC"),
        (["localhost:1", "--client-key", "/nowhere.pem"], {}, "--client-certificate and --client-key go together"),
        (["--typo"], {}, "No such option"),
        ([], {"CLIPWARDEN_LISTEN": ""}, "name no address to ask"),
        ([], {"CLIPWARDEN_LISTEN": "127.0.0.1:0"}, "takes any free port"),
        ([], {"CLIPWARDEN_CONFIG": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
async def test_what_cannot_be_asked_is_told_in_words(
    arguments: list[str], environment: dict[str, str], sentence: str
) -> None:
    code, out, err = await ask(*arguments, environment=environment)
    assert (code in {1, 2}, out) == (True, "")
    assert sentence in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err


async def test_tls_servers_are_asked_with_the_roots_that_are_named(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    for name, each in (("ours", authority), ("theirs", stranger)):
        each.cert_pem.write_to_path(str(tmp_path / name))
    health = Health([])
    health.set_serving(True)
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    certificate = server_credentials(issue(authority, "moderation.example"))
    address = f"127.0.0.1:{server.add_secure_port('127.0.0.1:0', certificate)}"
    await server.start()
    trusting = (address, "--root-certificates", str(tmp_path / "ours"))
    assert (await ask(*trusting, "--server-name", "moderation.example"))[:2] == (0, "serving")
    for arguments, sentence in (
        (trusting, "is for another name; call the server by a name that the certificate holds"),
        ((address, "--root-certificates", str(tmp_path / "theirs")), "name the authority's certificate (--root-cert"),
        ((address,), "as servers do that want TLS; connect by TLS (--tls, --root-certificates)."),
    ):
        code, out, _ = await ask(*arguments, "--timeout", "100")
        assert (code, sentence in out) == (7, True), out
    await server.stop(None)


QUICK = """
import sys
from clipwarden.cli.start import main
sys.argv[1:] = ["health", *sys.argv[1:]]
try:
    main()
finally:
    print(*sorted({"grpc", "google", "typer", "rich", "numpy", "asyncio"} & {*sys.modules}), file=sys.stderr)
"""


async def test_probes_import_little(toy_model: Model) -> None:
    async with serving(toy_model, probe_listen="127.0.0.1:0") as rig:
        for address, loaded in (
            (f"http://{rig.server.listeners.probe_address}", ""),
            (str(rig.server.address), "asyncio grpc"),  # gRPC brings the other
        ):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", QUICK, address),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=QUIET,
            )
            out, err = await process.communicate()
            assert (process.returncode, out.decode().strip(), err.decode().strip()) == (0, "serving", loaded)
