"""Images by path, against a real server on a real socket: counted, confined, and no trouble to the others."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2

from clipwarden import AsyncClient, Client, ServerFile, StreamItem
from clipwarden.client import ImageRefusedError, RequestRefusedError, RetryPolicy
from clipwarden.engine.shares import Account, Shares
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.load import Model
from clipwarden.serving import sharedfiles
from clipwarden.serving.process import JsonFormatter
from clipwarden.serving.sharedfiles import SharedRoot
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import Rig, connected, eventually, picture, refusal, refused, serving
from kit.sharedvolume import ESCAPES, Volume, make_volume, opened_in

RED, BLUE = picture("red"), picture("blue")
MIB = 2**20
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def volume(tmp_path: Path) -> Volume:
    return make_volume(tmp_path, shared=RED, secret=BLUE)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[str], list[dict[str, Any]]]:
    """What the access log says, as it would be written."""
    caplog.set_level(logging.INFO, logger="clipwarden.access")

    def read(message: str) -> list[dict[str, Any]]:
        written = [JsonFormatter().format(record) for record in caplog.records]
        assert all(line.isprintable() and line.isascii() for line in written)
        return [line for line in map(json.loads, written) if line["message"].startswith(message)]

    return read


@asynccontextmanager
async def sharing(model: Model, volume: Volume, folder: Path, **changes: object) -> AsyncIterator[Rig]:
    """Run a server that reads the volume's files for callers by its Unix socket."""
    own: dict[str, object] = {"listen": None, "unix_socket": str(folder / "s"), "path_root": str(volume.root)}
    async with serving(model, **{**own, **changes}) as rig:
        yield rig


def by_path(path: str, request_id: str = "") -> pb.ModerateRequest:
    return pb.ModerateRequest(image=pb.ImageSource(shared_path=path), request_id=request_id)


async def streamed(rig: Rig, sources: Sequence[pb.ImageSource]) -> dict[str, pb.ModerationResult]:
    async def items() -> AsyncIterator[pb.StreamModerateRequest]:
        for number, source in enumerate(sources):
            yield pb.StreamModerateRequest(id=f"{number}", image=source)

    return {answer.id: answer.result async for answer in rig.stub.StreamModerate(items())}


@contextmanager
def held_reads(name: str = "read") -> Iterator[threading.Event]:
    """Hold every thread that reads, or looks at, a file inside this block, as a storage that hangs does."""
    release, act = threading.Event(), getattr(SharedRoot, name)

    def hold(*given: object) -> object:
        assert release.wait(timeout=60), "the test never let go of the files"
        return act(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SharedRoot, name, hold)
        try:
            yield release
        finally:
            release.set()


async def test_every_method_takes_a_path_and_judges_the_bytes_there(
    toy_model: Model, volume: Volume, socket_folder: Path, lines: Callable[[str], list[dict[str, Any]]]
) -> None:
    (volume.root / "b.png").write_bytes(BLUE)
    paths = ("uploads/a.png", "b.png")
    sources = [pb.ImageSource(shared_path=path) for path in paths] + [pb.ImageSource(data=RED)]
    expected = [pb.VERDICT_BLOCK, pb.VERDICT_ALLOW, pb.VERDICT_BLOCK]
    async with sharing(toy_model, volume, socket_folder) as rig:
        single = (await rig.stub.Moderate(by_path(paths[0], "one"))).moderation
        batch = await rig.stub.BatchModerate(pb.BatchModerateRequest(images=sources, request_id="b"))
        items = await streamed(rig, sources)
        assert (rig.server.pipeline.admission.items, rig.server.pipeline.admission.bytes) == (0, 0)
    assert (single.verdict, single.image.sha256) == (pb.VERDICT_BLOCK, sha256(RED).hexdigest())
    assert [result.moderation.verdict for result in batch.results] == expected
    assert [items[f"{number}"].moderation.verdict for number in range(3)] == expected
    judged = {line["request_id"]: line for line in lines("judged")}
    assert {name: line.get("path") for name, line in judged.items()} == {
        "one": paths[0], "b/0": paths[0], "b/1": paths[1], "b/2": None, "0": paths[0], "1": paths[1], "2": None,
    }  # fmt: skip
    assert judged["one"]["sha256"] == sha256(RED).hexdigest()


async def test_clients_name_files_of_the_server(toy_model: Model, volume: Volume, socket_folder: Path) -> None:
    file = ServerFile("uploads/a.png")
    async with sharing(toy_model, volume, socket_folder) as rig:
        target = rig.server.unix_address
        assert target
        async with AsyncClient(target, retry=ONCE) as client:
            assert (await client.moderate(file)).verdict == pb.VERDICT_BLOCK
            results = await client.moderate_batch([file, BLUE, ServerFile("none")])
            items = [StreamItem(id="a", image=file), StreamItem(id="b", image=BLUE)]
            streamed = {result.id: result.unwrap().verdict async for result in client.moderate_stream(items)}

        def by_threads() -> tuple[pb.Moderation, list[str], dict[str, int], RequestRefusedError]:
            with Client(target, retry=ONCE) as client:
                with pytest.raises(RequestRefusedError) as refused:
                    client.moderate(ServerFile("../outside/secret.png"))
                batch = client.moderate_batch([file, ServerFile("none")])
                stream = {result.id: int(result.unwrap().verdict) for result in client.moderate_stream(items)}
                return client.moderate(file), [str(result.error) for result in batch], stream, refused.value

        single, errors, stream, error = await asyncio.to_thread(by_threads)
    assert [result.error.reason if result.error else None for result in results] == [None, None, "PATH_NOT_FOUND"]
    assert streamed == stream == {"a": pb.VERDICT_BLOCK, "b": pb.VERDICT_ALLOW}
    assert (single.verdict, errors[0], error.reason) == (pb.VERDICT_BLOCK, "None", "PATH_REFUSED")
    assert "there is no file at this path" in errors[1]


@pytest.mark.parametrize("escape", ESCAPES)
async def test_escapes_are_refused_with_status_reason_and_log_line(
    toy_model: Model,
    volume: Volume,
    socket_folder: Path,
    escape: str,
    lines: Callable[[str], list[dict[str, Any]]],
) -> None:
    path, lay = ESCAPES[escape]
    lay(volume)
    source = pb.ImageSource(shared_path=path)
    async with sharing(toy_model, volume, socket_folder) as rig:
        with opened_in(volume.outside) as opened:
            answer = await refused(rig.stub.Moderate(by_path(path, "one")))
            batch = await rig.stub.BatchModerate(pb.BatchModerateRequest(images=[source], request_id="b"))
            items = await streamed(rig, [source])
            assert opened() == 0
        errors = rig.server.metrics.errors
        counts = [errors.labels(name, "PATH_REFUSED")._value.get() for name in ("Moderate", "BatchModerate")]
    assert (answer.code, answer.reason, answer.fault) == (code_pb2.INVALID_ARGUMENT, "PATH_REFUSED", None)
    assert answer.metadata == {"request_id": "one"}
    for other in (batch.results[0].error, items["0"].error):
        assert (refusal(other).code, refusal(other).reason) == (answer.code, answer.reason)
    assert counts == [1, 1]
    logged = {line["request_id"]: line for line in lines("refused: ")}
    assert logged.keys() == {"one", "b/0", "0"}
    assert {(line["reason"], line["path"]) for line in logged.values()} == {("PATH_REFUSED", path[:1024])}
    assert rig.encoder.sizes == []


async def test_a_race_in_the_volume_gives_a_server_nothing_from_outside(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    (volume.outside / "a.png").write_bytes(BLUE)
    stop, swaps, uploads, kept = threading.Event(), [0], volume.root / "uploads", volume.root / "kept"

    def swap() -> None:
        while not stop.is_set():
            uploads.rename(kept)
            uploads.symlink_to(volume.outside)
            uploads.unlink()
            kept.rename(uploads)
            swaps[0] += 1

    sources = [pb.ImageSource(shared_path="uploads/a.png")] * 50
    outcomes, inside = set[str](), sha256(RED).hexdigest()
    async with sharing(toy_model, volume, socket_folder) as rig:
        with opened_in(volume.outside) as opened:
            swapping = asyncio.create_task(asyncio.to_thread(swap))
            try:
                tries = 0
                while tries < 1000 or swaps[0] < 1000 or len(outcomes) < 2 or inside not in outcomes:
                    for result in (await rig.stub.BatchModerate(pb.BatchModerateRequest(images=sources))).results:
                        digest = result.moderation.image.sha256
                        outcomes.add(digest or refusal(result.error).reason)
                    tries += len(sources)
            finally:
                stop.set()
                await swapping
            assert opened() == 0
    assert outcomes <= {inside, "PATH_REFUSED", "PATH_NOT_FOUND"}


async def test_errors_of_files_have_statuses_of_their_own(
    toy_model: Model, volume: Volume, socket_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (volume.root / "large").write_bytes(bytes(100_001))
    (volume.root / "empty").touch()
    os.truncate(volume.root / "large", 10**12)  # sparse: it would take all memory there is
    monkeypatch.setattr(sharedfiles, "_at_most", lambda *_: b"less")
    async with sharing(toy_model, volume, socket_folder, max_image_bytes=100_000) as rig:
        none = await refused(rig.stub.Moderate(by_path("uploads/none.png")))
        large = await refused(rig.stub.Moderate(by_path("large")))
        changed = await refused(rig.stub.Moderate(by_path("uploads/a.png")))
        monkeypatch.undo()
        empty = await refused(rig.stub.Moderate(by_path("empty")))
        assert rig.server.pipeline.admission.bytes == 0
    assert (none.code, none.reason, none.fault) == (code_pb2.NOT_FOUND, "PATH_NOT_FOUND", None)
    assert (large.code, large.reason) == (code_pb2.INVALID_ARGUMENT, "IMAGE_TOO_LARGE")
    assert large.fault == pb.ImageFault(reason=pb.IMAGE_FAULT_REASON_TOO_LARGE, policy_verdict=pb.VERDICT_BLOCK)
    assert (changed.code, changed.reason, changed.fault) == (code_pb2.FAILED_PRECONDITION, "PATH_UNREADABLE", None)
    assert empty.reason == "IMAGE_EMPTY"


async def test_a_bad_file_by_path_is_refused_as_its_bytes_would_be(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    (volume.root / "bad").write_bytes(b"%PDF-1.7 and so on, long enough to be looked at")
    async with sharing(toy_model, volume, socket_folder) as rig:
        target = rig.server.unix_address
        assert target
        async with AsyncClient(target, retry=ONCE) as client:
            with pytest.raises(ImageRefusedError) as caught:
                await client.moderate(ServerFile("bad"))
    assert caught.value.reason == "IMAGE_FORMAT_UNSUPPORTED"


async def test_files_are_not_read_unless_a_root_is_set(toy_model: Model, volume: Volume, socket_folder: Path) -> None:
    async with sharing(toy_model, volume, socket_folder, path_root=None) as rig:
        answer = await refused(rig.stub.Moderate(by_path("uploads/a.png")))
    assert (answer.code, answer.reason) == (code_pb2.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert "its path_root is not set; send the bytes of the file as image.data" in answer.message


@pytest.mark.parametrize("callers", ["unix", "all"])
async def test_callers_from_the_network_name_files_only_where_all_may(
    toy_model: Model, volume: Volume, socket_folder: Path, callers: str
) -> None:
    async with sharing(toy_model, volume, socket_folder, listen="127.0.0.1:0", path_callers=callers) as rig:
        async with connected(rig.server.unix_address) as near:
            assert (await near.stub.Moderate(by_path("uploads/a.png"))).moderation.verdict == pb.VERDICT_BLOCK
        async with connected(rig.server.address) as far:
            if callers == "all":
                assert (await far.stub.Moderate(by_path("uploads/a.png"))).moderation.verdict == pb.VERDICT_BLOCK
                return
            answers = [await refused(far.stub.Moderate(by_path(path))) for path in ("uploads/a.png", "none", "/etc")]
            (batch,) = (await far.stub.BatchModerate(pb.BatchModerateRequest(images=[by_path("none").image]))).results
            items = await streamed(Rig(stub=far.stub, channel=far.channel, server=rig.server, encoder=rig.encoder),
                                   [by_path("none").image])  # fmt: skip
    told = {(answer.code, answer.reason, answer.message) for answer in answers}
    assert len(told) == 1, "who may name no file learns of none"
    assert {refusal(error).reason for error in (batch.error, items["0"].error)} == {"PATH_REFUSED"}
    assert told.pop()[:2] == (code_pb2.INVALID_ARGUMENT, "PATH_REFUSED")


async def test_a_root_that_is_not_there_stops_the_start(toy_model: Model, volume: Volume, socket_folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"path_root: cannot open the folder .*: no such file"):
        async with sharing(toy_model, volume, socket_folder, path_root=str(volume.root / "none")):
            pass
    assert not (socket_folder / "s").exists()


async def test_bytes_that_were_seen_are_known_by_path_as_well(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    async with sharing(toy_model, volume, socket_folder) as rig:
        sent = await rig.moderate(RED)
        read = (await rig.stub.Moderate(by_path("uploads/a.png"))).moderation
    assert (sent.from_cache, read.from_cache) == (False, True)
    assert rig.encoder.sizes == [1]


async def test_a_long_path_of_each_image_of_a_batch_fits_into_its_message(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    path = "x" * 255 + "/" + "y" * 255 + "/" + "z" * 255 + "/" + "v" * 250 + ".png"
    (volume.root / path).parent.mkdir(parents=True)
    (volume.root / path).write_bytes(RED)
    request = pb.BatchModerateRequest(images=[pb.ImageSource(shared_path=path)] * 64)
    async with sharing(toy_model, volume, socket_folder) as rig:
        results = (await rig.stub.BatchModerate(request)).results
    assert {result.moderation.verdict for result in results} == {pb.VERDICT_BLOCK}


async def test_a_queue_of_one_image_takes_a_batch_of_paths(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    request = pb.BatchModerateRequest(images=[by_path("uploads/a.png").image, pb.ImageSource(data=BLUE)] * 4)
    async with sharing(toy_model, volume, socket_folder, queue_items=1) as rig:
        results = (await rig.stub.BatchModerate(request)).results
        # The first has the call's own place; the others come while it is taken.
        assert results[0].moderation.verdict == pb.VERDICT_BLOCK
        assert {refusal(result.error).reason for result in results if result.HasField("error")} <= {"OVERLOADED"}
        assert (rig.server.pipeline.admission.items, rig.server.pipeline.admission.bytes) == (0, 0)


async def test_many_large_files_at_once_stay_within_the_bytes_of_the_queue(
    toy_model: Model, volume: Volume, socket_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        (volume.root / f"{number}.bmp").write_bytes(picture("red", "BMP", side=500, number=number))
    size = (volume.root / "0.bmp").stat().st_size
    most, take, reads, read = [0], Shares.take, [0], SharedRoot.read

    def spied_take(shares: Shares, account: Account, *, items: int, size: int) -> None:
        take(shares, account, items=items, size=size)
        most[0] = max(most[0], shares.bytes)

    def spied_read(root: SharedRoot, names: Sequence[bytes], size: int) -> bytes:
        reads[0] += 1
        return read(root, names, size)

    monkeypatch.setattr(Shares, "take", spied_take)
    monkeypatch.setattr(SharedRoot, "read", spied_read)
    bounds = {"max_image_bytes": MIB, "max_message_bytes": 2 * MIB, "queue_bytes": 8 * MIB, "call_in_flight": 100}
    sources = [pb.ImageSource(shared_path=f"{number}.bmp") for number in range(100)]
    async with sharing(toy_model, volume, socket_folder, **bounds) as rig:
        with rig.encoder.held():
            items = asyncio.create_task(streamed(rig, sources))
            admission = rig.server.pipeline.admission
            # Those that were let in wait for the encoder; the others have been refused.
            await eventually(lambda: reads[0] > 0 and admission.items == reads[0] == admission.bytes // size)
            held, let_in = admission.bytes, reads[0]
        results = (await items).values()
        assert (admission.items, admission.bytes) == (0, 0)
        calls = [rig.stub.Moderate(by_path(f"{number}.bmp")) for number in range(100)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert (admission.items, admission.bytes) == (0, 0)
    verdicts = [result for result in results if result.HasField("moderation")]
    errors = [refusal(result.error) for result in results if result.HasField("error")]
    assert {error.reason for error in errors} == {"OVERLOADED"}
    assert all(error.retry_seconds for error in errors)
    assert held == let_in * size
    assert size < most[0] <= 8 * MIB
    assert len(verdicts) >= let_in, "what is refused is not read"


async def test_a_read_that_is_given_up_counts_until_it_has_ended(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    async with sharing(toy_model, volume, socket_folder) as rig:
        admission, files = rig.server.pipeline.admission, rig.server.files
        with held_reads() as release:
            call = rig.stub.Moderate(by_path("uploads/a.png"))
            await eventually(lambda: admission.bytes == len(RED))
            call.cancel()
            await eventually(lambda: admission.items == 0)
            assert admission.bytes == len(RED)
            release.set()
            await eventually(lambda: admission.bytes == 0 and files.statistics().busy == 0)
        assert (await rig.stub.Moderate(by_path("uploads/a.png"))).moderation.verdict == pb.VERDICT_BLOCK


async def test_a_late_file_ends_its_call_at_the_deadline(toy_model: Model, volume: Volume, socket_folder: Path) -> None:
    async with sharing(toy_model, volume, socket_folder, default_deadline_seconds=0.2) as rig:
        with held_reads("size_of"):
            answer = await refused(rig.stub.Moderate(by_path("uploads/a.png")))
        assert answer.reason == "DEADLINE_EXCEEDED"


async def test_calls_that_wait_for_files_leave_places_to_who_sends_bytes(
    toy_model: Model, volume: Volume, socket_folder: Path
) -> None:
    async with sharing(toy_model, volume, socket_folder, queue_items=8) as rig:
        with held_reads("size_of"):
            waiting = [asyncio.ensure_future(rig.stub.Moderate(by_path("uploads/a.png"))) for _ in range(2)]
            await eventually(lambda: rig.server.files.statistics().busy == 2)
            answer = await refused(rig.stub.Moderate(by_path("uploads/a.png")))
            assert (answer.reason, answer.retry_seconds) == ("OVERLOADED", 1.0)
            assert "2 calls wait for files" in answer.message
            assert (await rig.moderate(BLUE)).verdict == pb.VERDICT_ALLOW
            assert rig.server.metrics.refusals.labels("files")._value.get() == 1
        for each in await asyncio.gather(*waiting):
            assert each.moderation.verdict == pb.VERDICT_BLOCK


async def test_a_storage_that_hangs_stops_nobody_who_sends_bytes(
    toy_model: Model, volume: Volume, socket_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sharing(toy_model, volume, socket_folder) as rig:
        files, health = rig.server.files, rig.server.health
        files._threads._stall_seconds = 0.05
        with held_reads("size_of"):
            stuck = [asyncio.ensure_future(refused(rig.stub.Moderate(by_path("uploads/a.png")))) for _ in range(4)]
            for answer in await asyncio.gather(*stuck):
                assert (answer.code, answer.reason) == (code_pb2.FAILED_PRECONDITION, "PATH_UNREADABLE")
            assert files.statistics().stuck == 4
            answer = await refused(rig.stub.Moderate(by_path("uploads/a.png")))
            assert "does not answer" in answer.message
            assert health.serving
            assert "does not answer" in health.notices["path_root"]
            assert (await rig.moderate(BLUE)).verdict == pb.VERDICT_ALLOW
            assert rig.server.stuck
            files._threads._stall_seconds = 60
        await eventually(lambda: not health.notices)
        assert (await rig.stub.Moderate(by_path("uploads/a.png"))).moderation.verdict == pb.VERDICT_BLOCK
        assert not rig.server.stuck
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "path_root: the file system that path_root is on does not answer"
    ]
