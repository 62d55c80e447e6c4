"""Who may call where tokens are asked for: every method but health, by TCP and by socket, before anything is read."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from clipwarden.modelfolder.load import Model
from clipwarden.serving import access
from clipwarden.serving.process import JsonFormatter
from clipwarden.serving.rpc import METHODS
from clipwarden.serving.tokens import line_of, make_token
from clipwarden.v1 import moderation_pb2 as pb
from kit.authorities import put
from kit.configmap import ConfigMap
from kit.serving import Rig, connected, eventually, picture, refused, serving

GOOD, NEW, UNKNOWN = make_token(), make_token(), make_token()
IMAGE = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))


def bearer(token: str) -> Sequence[tuple[str, str]]:
    return (("authorization", f"Bearer {token}"),)


def lines(*named: tuple[str, str]) -> str:
    return "# who may call\n" + "".join(f"{line_of(name, token)}\n" for name, token in named)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LOOK_SECONDS", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(lines(("uploads", GOOD)))
    return path


async def verdict(rig: Rig, token: str) -> int:
    return (await rig.stub.Moderate(IMAGE, metadata=bearer(token))).moderation.verdict


async def test_token_of_the_file_is_let_in_and_names_its_caller(
    toy_model: Model, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        async with serving(toy_model, tokens=str(file)) as rig:
            assert await verdict(rig, GOOD) == pb.VERDICT_BLOCK
            await eventually(lambda: any(record.message == "judged" for record in caplog.records))
            count = rig.server.metrics.registry.get_sample_value
            assert count("clipwarden_caller_requests_total", {"caller": "uploads"}) == 1
    (judged,) = [record for record in caplog.records if record.message == "judged"]
    assert vars(judged)["caller"] == "token:uploads"


HEADERS: dict[str, tuple[Sequence[tuple[str, str | bytes]], str]] = {
    "none": ((), "TOKEN_MISSING"),
    "in another place": ((("x-token", GOOD),), "TOKEN_MISSING"),
    "unknown": (bearer(UNKNOWN), "TOKEN_INVALID"),
    "empty": (bearer(""), "TOKEN_INVALID"),
    "cut short": (bearer(GOOD[:-1]), "TOKEN_INVALID"),
    "longer": (bearer(GOOD + "x"), "TOKEN_INVALID"),
    "in capitals": (bearer(GOOD.swapcase()), "TOKEN_INVALID"),
    "without its scheme": ((("authorization", GOOD),), "TOKEN_INVALID"),
    "of another scheme": ((("authorization", f"Basic {GOOD}"),), "TOKEN_INVALID"),
    "twice": ((*bearer(GOOD), *bearer(GOOD)), "TOKEN_INVALID"),
    "its digest": (bearer(line_of("a", GOOD).split()[1]), "TOKEN_INVALID"),
    "very long": (bearer("x" * 8000), "TOKEN_INVALID"),
}


@pytest.mark.parametrize("header", HEADERS)
async def test_any_other_header_is_refused_with_a_reason_and_a_line_that_says_nothing_of_it(
    toy_model: Model, file: Path, caplog: pytest.LogCaptureFixture, header: str
) -> None:
    metadata, reason = HEADERS[header]
    with caplog.at_level(logging.DEBUG):
        async with serving(toy_model, tokens=str(file)) as rig:
            refusal = await refused(rig.stub.Moderate(IMAGE, metadata=metadata))
            count = rig.server.metrics.registry.get_sample_value
            assert count("clipwarden_errors_total", {"method": "Moderate", "reason": reason}) == 1
            labels = {"method": "Moderate", "code": "UNAUTHENTICATED"}
            assert count("clipwarden_requests_total", labels) == 1
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED.value[0], reason)
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records if "reason" in vars(record)]
    assert (line["level"], line["method"], line["reason"], line["count"]) == ("warning", "Moderate", reason, 1)
    assert line["peer"] == "ipv4:127.0.0.1"
    for record in caplog.records:
        assert not any(GOOD[:8] in str(value) or UNKNOWN[:8] in str(value) for value in vars(record).values())


@pytest.mark.parametrize(
    ("headers", "counted"),
    [
        ((("x-much", "x" * 140_000), *bearer(GOOD)), {"code": "UNAUTHENTICATED"}),
        ((*bearer(GOOD), ("x-much", "x" * 140_000)), {"code": "CANCELLED"}),
        ((*bearer(GOOD), *((f"x-{n}", "x" * 7000) for n in range(20))), {"code": "INVALID_ARGUMENT"}),
    ],
)
async def test_headers_that_grpc_refuses_count_as_what_was_read_of_them(
    toy_model: Model, file: Path, headers: Sequence[tuple[str, str]], counted: dict[str, str]
) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.stub.Moderate(IMAGE, metadata=headers)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        count = rig.server.metrics.registry.get_sample_value
        labels = {"method": "Moderate", **counted}
        await eventually(lambda: count("clipwarden_requests_total", labels) == 1)


async def test_every_method_and_reflection_ask_and_health_does_not(toy_model: Model, file: Path) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        for method in METHODS:
            call = rig.channel.stream_stream(f"/clipwarden.v1.ModerationService/{method}")(_nothing())
            assert (await refused(_first(call))).reason == "TOKEN_MISSING"
        questions = reflection_pb2.ServerReflectionRequest(list_services="")
        described = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
        assert (await refused(_first(described.ServerReflectionInfo(iter([questions]))))).reason == "TOKEN_MISSING"
        answer = await _first(described.ServerReflectionInfo(iter([questions]), metadata=bearer(GOOD)))
        assert "clipwarden.v1.ModerationService" in str(answer)
        health = health_pb2_grpc.HealthStub(rig.channel)
        assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def _nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()  # a caller that sends no message is refused all the same
    yield b""


async def _first(call: object) -> object:
    return await call.read()  # type: ignore[attr-defined]


async def test_socket_asks_for_tokens_as_well(toy_model: Model, file: Path, socket_folder: Path) -> None:
    path = f"{socket_folder}/s"
    async with serving(toy_model, tokens=str(file), listen=None, unix_socket=path) as rig:
        assert (await refused(rig.stub.Moderate(IMAGE))).reason == "TOKEN_MISSING"
        assert await verdict(rig, GOOD) == pb.VERDICT_BLOCK


async def test_change_of_token_overlaps_and_ends_with_the_old_one_refused(toy_model: Model, file: Path) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        assert (await refused(rig.stub.Moderate(IMAGE, metadata=bearer(NEW)))).reason == "TOKEN_INVALID"
        put(file, lines(("uploads", GOOD), ("uploads", NEW)))
        await loads(rig, 1)
        assert [await verdict(rig, token) for token in (GOOD, NEW)] == [pb.VERDICT_BLOCK] * 2
        put(file, lines(("uploads", NEW)))
        await loads(rig, 2)
        assert await verdict(rig, NEW) == pb.VERDICT_BLOCK
        assert (await refused(rig.stub.Moderate(IMAGE, metadata=bearer(GOOD)))).reason == "TOKEN_INVALID"


async def loads(rig: Rig, count: int, outcome: str = "loaded") -> None:
    value = rig.server.metrics.registry.get_sample_value
    labels = {"subject": "tokens", "outcome": outcome}
    await eventually(lambda: value("clipwarden_secret_reloads_total", labels) == count)


async def test_mounted_secret_is_taken_up_by_its_swap(toy_model: Model, tmp_path: Path) -> None:
    mounted = ConfigMap(tmp_path / "mounted", {"tokens": lines(("uploads", GOOD))})
    async with serving(toy_model, tokens=str(mounted["tokens"])) as rig:
        mounted.swap({"tokens": lines(("uploads", NEW))})
        await loads(rig, 1)
        assert await verdict(rig, NEW) == pb.VERDICT_BLOCK


@pytest.mark.parametrize("content", ["", "uploads\n", "uploads short\n", "\xff"])
async def test_file_that_cannot_be_used_leaves_the_former_in_use(
    toy_model: Model, file: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        put(file, content.encode("latin-1"))
        await loads(rig, 1, "refused")
        assert await verdict(rig, GOOD) == pb.VERDICT_BLOCK
        assert rig.server.health.notices["tokens"] == "New tokens cannot be used; the old stays. The log says why."
        assert any(str(file) in record.message for record in caplog.records if record.levelname == "ERROR")
        put(file, lines(("uploads", GOOD)))
        await loads(rig, 1)
        assert not rig.server.health.notices


async def test_file_that_goes_leaves_the_former_in_use(toy_model: Model, file: Path) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        file.unlink()  # noqa: ASYNC240  a test's
        await loads(rig, 1, "refused")
        assert await verdict(rig, GOOD) == pb.VERDICT_BLOCK
        assert "The log says why." in rig.server.health.notices["tokens"]


async def test_open_reflection_ends_at_the_next_question_after_its_token_is_withdrawn(
    toy_model: Model, file: Path
) -> None:
    question = reflection_pb2.ServerReflectionRequest(list_services="")
    async with serving(toy_model, tokens=str(file)) as rig:
        described = reflection_pb2_grpc.ServerReflectionStub(rig.channel).ServerReflectionInfo(metadata=bearer(GOOD))
        await described.write(question)
        assert (await described.read()).list_services_response.service
        put(file, lines(("uploads", NEW)))
        await loads(rig, 1)
        await described.write(question)
        assert (await refused(described.read())).reason == "TOKEN_INVALID"


async def test_open_stream_ends_at_the_next_item_after_its_token_is_withdrawn(toy_model: Model, file: Path) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        stream = rig.stub.StreamModerate(metadata=bearer(GOOD))
        await stream.write(pb.StreamModerateRequest(id="a", image=IMAGE.image))
        assert (await stream.read()).id == "a"
        put(file, lines(("uploads", NEW)))
        await loads(rig, 1)
        await stream.write(pb.StreamModerateRequest(id="b", image=IMAGE.image))
        assert (await refused(stream.read())).reason == "TOKEN_INVALID"


async def test_open_stream_goes_on_while_other_tokens_change(toy_model: Model, file: Path) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        stream = rig.stub.StreamModerate(metadata=bearer(GOOD))
        for number in range(3):
            await stream.write(pb.StreamModerateRequest(id=str(number), image=IMAGE.image))
            assert (await stream.read()).result.moderation.verdict == pb.VERDICT_BLOCK
            put(file, lines(("uploads", GOOD), (f"other-{number}", make_token())))
            await loads(rig, number + 1)


async def test_tokens_of_one_name_share_its_part_of_the_machine_from_wherever_they_come(
    toy_model: Model, file: Path
) -> None:
    put(file, lines(("uploads", GOOD), ("uploads", NEW), ("backfill", UNKNOWN)))
    async with serving(toy_model, tokens=str(file), max_streams=4) as rig, AsyncExitStack() as stack:
        for token in (GOOD, NEW):
            connection = await stack.enter_async_context(connected(rig.server.address))
            stream = connection.stub.StreamModerate(metadata=bearer(token))
            await stream.write(pb.StreamModerateRequest(id="a", image=IMAGE.image))
            assert (await stream.read()).id == "a"
        assert (await refused(rig.stub.StreamModerate(metadata=bearer(NEW)).read())).reason == "OVERLOADED"
        other = rig.stub.StreamModerate(
            iter([pb.StreamModerateRequest(id="a", image=IMAGE.image)]), metadata=bearer(UNKNOWN)
        )
        assert [each.id async for each in other] == ["a"]


OVERSIZED = {
    "64 KiB": (("x", "y" * 65536),),
    "1,000 headers": tuple((f"x{number}", "y") for number in range(1000)),
}


@pytest.mark.parametrize("headers", OVERSIZED)
@pytest.mark.parametrize("asked", [True, False])
async def test_oversized_headers_are_refused_with_a_reason_and_a_line(
    toy_model: Model, file: Path, caplog: pytest.LogCaptureFixture, headers: str, *, asked: bool
) -> None:
    async with serving(toy_model, tokens=str(file) if asked else None) as rig:
        metadata = (*OVERSIZED[headers], *bearer(GOOD))
        refusal = await refused(rig.stub.Moderate(IMAGE, metadata=metadata))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], "REQUEST_INVALID")
        assert "16384" in refusal.message
    (line,) = [record for record in caplog.records if "headers" in record.message]
    assert vars(line)["count"] == 1


async def test_headers_beyond_any_measure_are_refused_by_grpc(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.stub.Moderate(IMAGE, metadata=(("x", "y" * 2**20),))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await rig.stub.Moderate(IMAGE)).moderation.verdict == pb.VERDICT_BLOCK


async def test_flood_of_refusals_is_a_few_lines(toy_model: Model, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(toy_model, tokens=str(file)) as rig:
        for _ in range(50):
            await refused(rig.stub.Moderate(IMAGE, metadata=bearer(UNKNOWN)))
    denied = [
        record
        for record in caplog.records
        if record.message.endswith("calls: the token is not valid here, or not any more")
    ]
    assert sum(vars(record)["count"] for record in denied) == 50
    assert len(denied) < 50
