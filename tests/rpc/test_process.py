"""`clipwarden serve` as a process of its own: signals, exit codes, one-sentence failures."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import cast

import grpc
import pytest

from clipwarden import AsyncClient
from clipwarden.engine.settings import ENCODER_NICENESS
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.serverprocess import serve_process
from kit.serving import colours_yaml, eventually, next_version, picture

SERVE = [sys.executable, "-m", "clipwarden.cli.main", "serve"]


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


def _scheduling_of(process: int) -> Counter[tuple[int, int]]:
    """Count a process's threads by policy and niceness."""
    found = Counter[tuple[int, int]]()
    for folder in Path(f"/proc/{process}/task").iterdir():
        thread = int(folder.name)
        with suppress(ProcessLookupError):  # it has ended
            found[os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)] += 1
    return found


async def test_sigterm_under_load_loses_no_accepted_request_and_exits_with_0(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    data = picture("red", "JPEG", side=512)
    codes: list[tuple[str, grpc.StatusCode]] = []

    async def caller(channel: grpc.aio.Channel, name: str) -> None:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        for number in range(100_000):
            request_id = f"{name}-{number}"
            request = pb.ModerateRequest(image=pb.ImageSource(data=data), request_id=request_id)
            try:
                await stub.Moderate(request, timeout=60)
            except grpc.aio.AioRpcError as exc:
                codes.append((request_id, exc.code()))
                return
            codes.append((request_id, grpc.StatusCode.OK))

    async with (
        serve_process(toy_folder, policy, tmp_path, socket_folder) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        callers = [asyncio.create_task(caller(channel, f"c{index}")) for index in range(16)]
        await eventually(lambda: len(codes) >= 200)
        ended = asyncio.create_task(server.end())
        await asyncio.gather(*callers)
        assert await ended == 0
    assert {code for _, code in codes} == {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    # Whatever the server judged, its caller heard of.
    judged = {line["request_id"] for line in server.lines() if line["message"] == "judged"}
    assert judged == {name for name, code in codes if code is grpc.StatusCode.OK}
    assert server.lines()[-1]["message"] == "stopped"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere policy and niceness are a process's")
@pytest.mark.parametrize("scheduling", ["batch", "inherit"])
async def test_encoder_yields_cores_to_all_other_threads_where_it_may(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, scheduling: str
) -> None:
    runs = 2
    settings = {"scheduling": scheduling, "encoder_runs": runs}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server:
        async with AsyncClient(server.target) as client:
            await client.moderate(picture("red"))
        found = _scheduling_of(server.process.pid)
    inherited = (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))
    others = found.pop(inherited)
    assert others >= 3, "the event loop, and who reads headers and decodes"
    if scheduling == "batch":
        assert found == {(os.SCHED_BATCH, inherited[1] + ENCODER_NICENESS): runs}
    else:
        assert not found


async def test_withdrawing_a_candidate_by_a_restart_loses_no_request_of_a_client_that_retries(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, toy_model: Model
) -> None:
    candidate = tmp_path / "colours-2.yaml"
    only_review = [("review: 0.8, block: 0.9}", "review: 0.8}"), ("{review: 0.999, block: 1.0}", "{review: 0.999}")]
    candidate.write_text(next_version(toy_model, *only_review))
    data, answered, enough = picture("red", "JPEG", side=512), list[str](), asyncio.Event()

    async def caller(client: AsyncClient, name: str) -> None:
        number = 0
        while not enough.is_set():
            number += 1
            answer = await client.moderate(data, request_id=f"{name}-{number}")
            assert answer.verdict == pb.VERDICT_BLOCK
            answered.append(answer.request_id)

    callers: list[asyncio.Task[None]] = []

    async def judged_by(**settings: object) -> list[dict[str, object]]:
        async with serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server:
            # A server that has answered once is waited for.
            callers.extend(asyncio.create_task(caller(client, f"c{index}")) for index in range(16 - len(callers)))
            before = len(answered)
            await eventually(lambda: len(answered) >= before + 100)
            if not settings:
                enough.set()
                await asyncio.gather(*callers)
            assert await server.end() == 0
        return [line for line in server.lines() if line["message"] == "judged"]

    target = f"unix:{socket_folder}/s"
    async with AsyncClient(target, timeout=120) as client:
        watched = await judged_by(candidate=candidate)
        assert not any(task.done() for task in callers)
        alone = await judged_by()
    assert sorted(answered) == sorted(str(line["request_id"]) for line in (*watched, *alone))
    seen = [each for line in watched for each in cast("list[dict[str, object]]", line["candidates"])]
    assert [(each["version"], each["verdict"], each["agrees"]) for each in seen] == [("2", "REVIEW", False)] * len(
        watched
    )
    assert not any(line["candidates"] for line in alone)


async def test_calls_are_judged_during_the_propagation_delay_and_a_second_signal_ends_it(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = {"drain_delay_seconds": 1000}
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server:
        server.process.send_signal(signal.SIGINT)
        await eventually(lambda: any(line["message"] == "draining" for line in server.lines()))
        async with grpc.aio.insecure_channel(server.target) as channel:
            request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))
            answer = await moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request, timeout=60)
        assert answer.moderation.verdict == pb.VERDICT_BLOCK
        assert await server.end(signal.SIGTERM) == 0


async def test_log_says_what_is_loaded_and_what_was_judged_as_json(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path, toy_model: Model
) -> None:
    policy.write_text(colours_yaml(toy_model).replace("mode: enforce", "mode: shadow"))  # noqa: ASYNC240
    async with serve_process(toy_folder, policy, tmp_path, socket_folder) as server:
        async with grpc.aio.insecure_channel(server.target) as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")), request_id="r1")
            await stub.Moderate(request)
        assert await server.end() == 0
    lines = {str(line["message"]): line for line in server.lines()}
    assert lines["model loaded"]["fingerprint"] == toy_model.fingerprint
    assert (lines["policy loaded"]["enforce"], lines["policy loaded"]["shadow"]) == (0, 3)
    assert lines["policy colours enforces nothing: every verdict of it is ALLOW"]["level"] == "warning"
    judged = lines["judged"]
    assert (judged["request_id"], judged["verdict"], judged["shadow_verdict"]) == ("r1", "ALLOW", "BLOCK")
    assert (judged["shadow_incomplete"], lines["policy loaded"]["unbound"]) == ([], [])
    assert judged["digest"] == lines["policy loaded"]["digest"]
    assert judged["total_ms"]


async def test_metrics_have_no_series_of_when_each_was_made(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    async with serve_process(toy_folder, policy, tmp_path, socket_folder, metrics_listen="127.0.0.1:0") as server:
        names = set(await server.metrics())
    assert "ready" in names
    assert not [name for name in names if "_created" in name]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SERVE, "--vector-cache", "", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_check_loads_everything_and_leaves(toy_folder: Path, policy: Path) -> None:
    done = run("--check", "--model", str(toy_folder), "--policy", str(policy))
    assert done.returncode == 0, done.stderr
    assert "model toy sha256:" in done.stdout
    assert "policy colours (default) sha256:" in done.stdout
    assert "1 shadow, 2 enforce, 1 disabled" in done.stdout


@pytest.mark.parametrize("check", [["--check"], []])
def test_a_root_of_files_that_is_not_there_ends_the_start(toy_folder: Path, policy: Path, check: list[str]) -> None:
    done = run(
        *check, "--model", str(toy_folder), "--policy", str(policy), "--path-root", "/none", "--path-callers=all"
    )
    assert done.returncode == 2
    assert "path_root: cannot open the folder /none: no such file or directory." in done.stderr
    assert "Traceback" not in done.stderr


def test_an_audit_log_that_cannot_be_written_is_found_by_the_check(toy_folder: Path, policy: Path) -> None:
    done = run("--check", "--model", str(toy_folder), "--policy", str(policy), "--audit-log", "/none/log")
    assert done.returncode == 2
    assert "Cannot write the audit log /none/log: its folder does not exist." in done.stderr


def test_bad_policy_ends_the_start_with_its_place_in_the_file(toy_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("api: clipwarden/v2\n")
    done = run("--model", str(toy_folder), "--policy", str(tmp_path / "broken.yaml"))
    assert done.returncode == 3
    assert "broken.yaml:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_port_in_use_ends_the_start_in_one_sentence(toy_folder: Path, policy: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("--model", str(toy_folder), "--policy", str(policy), "--listen", address)
    assert done.returncode == 2
    assert '"message": "stopped"' not in done.stderr
    assert f"Cannot listen on {address}: address already in use. Choose another address" in done.stderr
    assert "Traceback" not in done.stderr
