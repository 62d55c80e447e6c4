"""Faults that a server process may not survive: runs that hang, SIGTERM under load, kill -9; see `test_faults`."""

import asyncio
import signal
from pathlib import Path
from threading import Thread

import pytest

from clipwarden import AsyncClient, Client
from clipwarden.client import ClientError, RetryPolicy
from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serverprocess import NOT_SERVING, SERVING, serve_process
from kit.serving import colours_yaml, eventually, picture

ONCE = RetryPolicy(max_attempts=1)
METRICS = {"metrics_listen": "127.0.0.1:0"}
EXPECTED = {"red": pb.VERDICT_BLOCK, "blue": pb.VERDICT_ALLOW, "yellow": pb.VERDICT_REVIEW}


@pytest.fixture
def policy(toy_model: Model, tmp_path: Path) -> Path:
    path = tmp_path / "colours.yaml"
    path.write_text(colours_yaml(toy_model))
    return path


async def reason_of(client: AsyncClient, data: bytes) -> str:
    """Expect a call to fail, and tell the reason."""
    with pytest.raises(ClientError) as caught:
        await client.moderate(data)
    return str(caught.value.reason)


async def test_a_run_that_hangs_fails_its_own_image_and_only_the_last_one_turns_health_off(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = METRICS | {"encoder_runs": 2, "max_batch": 1, "stall_seconds": 2, "cache_bytes": 0}
    async with (
        serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **settings) as server,
        AsyncClient(server.target, timeout=60, retry=ONCE) as client,
    ):
        with server.fault("hold-green"):
            assert await reason_of(client, picture("green")) == "ENCODER_FAILED"
            assert await server.health() == SERVING
            found = await server.metrics()
            assert (found["stuck_threads{stage=encode}"], found["ready"]) == (1, 1)
            for colour, verdict in EXPECTED.items():
                assert (await client.moderate(picture(colour))).verdict == verdict
            assert await reason_of(client, picture("green", side=65)) == "ENCODER_FAILED"
            await server.becomes(NOT_SERVING)
            found = await server.metrics()
            assert (found["stuck_threads{stage=encode}"], found["ready"]) == (2, 0)
            assert await reason_of(client, picture("red")) == "ENCODER_FAILED"
        await server.becomes(SERVING)
        for colour, verdict in EXPECTED.items():
            assert (await client.moderate(picture(colour))).verdict == verdict
        after = await server.settled()
        assert after.of_method("Moderate") == {"INTERNAL": 3, "OK": 6}
        assert await server.end() == 0


async def test_sigterm_answers_what_was_accepted_and_refuses_the_rest(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    settings = METRICS | {"encoder_runs": 2, "drain_seconds": 600, "drain_delay_seconds": 0}
    async with (
        serve_process(toy_folder, policy, tmp_path, socket_folder, faulty=True, **settings) as server,
        AsyncClient(server.target, timeout=60, retry=ONCE) as client,
    ):
        with server.fault("hold-any"):
            accepted = [
                asyncio.create_task(client.moderate(picture(colour, side=64 + number)))
                for number in range(8)
                for colour in EXPECTED
            ]
            await server.until(lambda found: found["admitted_images"] == len(accepted))
            server.process.send_signal(signal.SIGTERM)
            await server.becomes(NOT_SERVING)
            await eventually(lambda: any(line["message"] == "draining" for line in server.lines()))
            # The gate closes a moment after health does.
            await server.until(lambda found: found["ready"] == 0)
            assert await reason_of(client, picture("red")) == "SHUTTING_DOWN"
            assert not any(call.done() for call in accepted)
        found = [answer.verdict for answer in await asyncio.gather(*accepted)]
        assert await asyncio.wait_for(server.process.wait(), 60) == 0
    assert found == list(EXPECTED.values()) * 8
    judged = [line for line in server.lines() if line["message"] == "judged"]
    assert len(judged) == len(accepted)


async def test_kill_and_restart_lose_no_call_of_the_retrying_clients(
    toy_folder: Path, policy: Path, tmp_path: Path, socket_folder: Path
) -> None:
    enough, wrong, answered = asyncio.Event(), list[object](), list[pb.Verdict.ValueType]()

    async def caller(client: AsyncClient, colour: str) -> None:
        while not enough.is_set():
            answer = await client.moderate(picture(colour, "JPEG", side=256))
            answered.append(answer.verdict)
            if answer.verdict != EXPECTED[colour]:
                wrong.append(answer)

    def threaded_caller(target: str) -> None:
        try:
            with Client(target, timeout=120) as client:
                while not enough.is_set():
                    answer = client.moderate(picture("red", side=128))
                    if answer.verdict != pb.VERDICT_BLOCK:
                        wrong.append(answer)
        except Exception as exc:  # noqa: BLE001  told by the test's own thread
            wrong.append(exc)

    def serve() -> object:
        return serve_process(toy_folder, policy, tmp_path, socket_folder, cache_bytes=0)

    async with AsyncClient(f"unix:{socket_folder}/s", timeout=120) as client:
        async with serve() as server:
            tasks = [asyncio.create_task(caller(client, colour)) for colour in EXPECTED for _ in range(5)]
            thread = Thread(target=threaded_caller, args=(server.target,))
            thread.start()
            await eventually(lambda: len(answered) >= 100)
            assert await server.end(signal.SIGKILL) == -signal.SIGKILL
        async with serve() as server:
            before = len(answered)
            await eventually(lambda: len(answered) >= before + 100)
            enough.set()
            await asyncio.gather(*tasks)
            await asyncio.to_thread(thread.join)
            assert await server.end() == 0
    assert wrong == []
